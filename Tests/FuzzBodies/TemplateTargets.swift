import ChatTemplates
import Foundation
import WasmScripts

extension FuzzTarget {
  /// The template, and behind each byte 0x01 what a user says.
  static let template = FuzzTarget(
    "template", "a chat template, read and rendered for messages of a stranger",
    dictionary: [
      "{{ ", " }}", "{% ", " %}", "{%- ", "-%}", "{# ", " #}", "for m in messages", "endfor", "if ", "elif ", "else", "endif", "set x = ",
      "set ns.x = ", "namespace(x=1)", "macro f(a, b=1)", "endmacro", "call f()", "endcall", "filter ", "raw", "endraw", "messages", "content", "role",
      "loop.index0", "loop.last", "|tojson(indent=2)", "|trim", "|join(',')", "|replace('a','b')", "|upper", "|length", "|selectattr('role')",
      "|map(attribute='content')", "|default('x')", "|string", "|list", "|sort", "|dictsort", "|items", "|reject('none')", "is defined", "not in ",
      "range(9)", "raise_exception('x')", "strftime_now('%Y')", "[1:]", "[::-1]", "~", "**", "//", "add_generation_prompt", "'<|im_start|>'",
      ".split(' ')", ".strip()", ".startswith('a')", ".get('x')", "cycler(1,2)", "'%s' % 'a'", ".format(1)", "* 99", "\u{1}", "<|im_end|>",
    ],
    seeds: { checkout in
      let fixtures = (SeedFiles.json(checkout, "Tests/Fixtures/ChatTemplates/templates.json") as? [[String: Any]] ?? [])
        .compactMap { ($0["template"] as? String) }.filter { $0.utf8.count < 4000 }
      return Set(fixtures).sorted().map { Array($0.utf8) + [1] + Array("Hi <|im_end|>".utf8) } + [
        Array("{% for m in messages %}{{ m.role ~ ': ' ~ m['content']|trim }}{{ loop.index }}{% endfor %}".utf8),
        Array("{%- macro f(x, y=2) -%}{{ x * y }}{%- endmacro -%}{{ f(3) }}{% set ns = namespace(a=[]) %}{% set ns.a = ns.a + [1] %}{{ ns.a|tojson }}".utf8),
      ]
    }
  ) { (input) throws(BrokenPromise) in
    let parts = input.split(separator: 1, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
    var limits = ChatTemplateLimits()
    limits.stepCountMax = 1 << 13
    limits.outputByteCountMax = 1 << 14
    let source = parts[0]
    let contents = (parts.count > 1 ? Array(parts[1...].prefix(4)) : ["Hello"]).map { $0 + mark }
    let messages = contents.enumerated().map { index, content in
      ChatMessage(role: ["user", "assistant", "system", content][index % 4], content: content)
    }
    let prompt: TemplateString
    do throws(ChatTemplateError) {
      let template = try ChatTemplate(source, limits: limits)
      prompt = try template.renderPrompt(messages, addGenerationPrompt: true, bosToken: "<s>", eosToken: "</s>")
    } catch {
      try promise(error.line >= 1 && error.column >= 1, "an error lies before the template: \(error)")
      try promise(error.line <= source.unicodeScalars.count + 1, "an error lies behind the template: \(error)")
      return
    }
    let bytes = Array(prompt.text.utf8)
    try promise(bytes.count <= limits.outputByteCountMax, "a template wrote \(bytes.count) bytes")
    var end = 0
    // A template can spell the mark itself.
    let spellsMark = source.contains(mark) || source.contains("2603")
    for range in prompt.templateRanges {
      try promise(range.lowerBound >= end && range.upperBound <= bytes.count, "the parts that a template wrote are \(prompt.templateRanges)")
      end = range.upperBound
      try promise(
        spellsMark || Data(bytes[range]).range(of: Data(mark.utf8)) == nil, "what a message says counts as the template's: \(prompt.text.debugDescription)")
    }
  }

  /// In every message, and in no template unless it spells it.
  private static let mark = "\u{2603}"

  static let json = FuzzTarget(
    "json", "JSON as requests and scripts have it: read, written by a template, read again", inputByteCountMax: 2048,
    dictionary: ["{\"a\":", "[", "]", "},", "null", "true", "false", "1e9", "-0.5", "\"\\u00e9\"", "\\ud83d\\ude00", "\\\"", "\"commands\":[", "\"type\":\"module\"", "\"line\":1"],
    seeds: { checkout in
      [
        Array(#"{"a": [1, 2.5e3, -7, true, null, {"b": "\u00e9\n\ud83d\ude00"}], "c": "</script>"}"#.utf8), Array("[[[[]]]]".utf8),
        Array(#"{"commands":[{"type":"module","line":1,"filename":"a.wasm"},{"type":"assert_return","line":2,"action":{"type":"invoke","field":"f","args":[{"type":"i32","value":"1"}]},"expected":[{"type":"f32","value":"nan:canonical"}]}]}"#.utf8),
      ]
    }
  ) { (input) throws(BrokenPromise) in
    _ = try? JSONScript.parse(Data(input)) { _ in [0, 0x61, 0x73, 0x6D, 1, 0, 0, 0] }
    guard let value = TemplateValue(json: String(decoding: input, as: UTF8.self)) else { return }
    guard let writer, let text = try? writer.render(["v": value]), !text.contains("Infinity"), !text.contains("NaN") else { return }
    guard let again = TemplateValue(json: text) else { throw BrokenPromise("what tojson writes is no JSON: \(text)") }
    let text2 = try? writer.render(["v": again])
    try promise(text2 == text, "JSON written twice differs: \(text), \(text2 ?? "an error")")
  }

  private static let writer = try? ChatTemplate("{{ v|tojson }}")
}
