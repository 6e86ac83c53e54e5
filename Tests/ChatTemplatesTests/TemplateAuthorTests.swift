import ChatTemplates
import Testing
import _TestSupport

/// Who wrote what: only what a template writes may become a special token, so content must stay content through every operation.
@Suite struct TemplateAuthorTests {
  /// The rendered text, with brackets around what the template wrote.
  func marked(_ template: String, _ variables: [String: TemplateValue] = [:]) throws -> String {
    let rendered = try ChatTemplate(template).renderPrompt(variables)
    let bytes = Array(rendered.text.utf8)
    var (result, end) = ("", 0)
    for range in rendered.templateRanges {
      result += String(decoding: bytes[end..<range.lowerBound], as: UTF8.self)
      result += "[" + String(decoding: bytes[range], as: UTF8.self) + "]"
      end = range.upperBound
    }
    return result + String(decoding: bytes[end...], as: UTF8.self)
  }

  /// Operations on `c`, which is content, and what they must leave: template text in brackets.
  @Test(arguments: [
    ("{{ c }}", "Ab c"), ("<{{ c }}>", "[<]Ab c[>]"), ("{{ '<' + c + '>' }}", "[<]Ab c[>]"), ("{{ '<' ~ c ~ 1 ~ none ~ '>' }}", "[<]Ab c[1None>]"),
    ("{{ c[0] }}{{ c[-1] }}{{ c[1:3] }}{{ c[::-1] }}", "Acb c bA"), ("{{ ('<' ~ c ~ '>')[0] }}", "[<]"), ("{{ ('<' ~ c ~ '>')[1] }}", "A"),
    ("{{ ('<' ~ c ~ '>')[::-1] }}", "[>]c bA[<]"), ("{{ ('<' ~ c ~ '>')[0:3] }}", "[<]Ab"), ("{{ ('<' ~ c ~ '>')[::2] }}", "[<]bc"),
    ("{{ c | upper }}{{ ('x' ~ c) | lower }}{{ ('x' ~ c) | title }}{{ ('x' ~ c) | capitalize }}", "AB C[x]ab c[X]ab C[X]ab c"),
    ("{{ (' ' ~ c ~ ' ') | trim }}{{ c.strip('A') }}{{ (c ~ '>').rstrip('>') }}{{ ('<' ~ c).lstrip() }}", "Ab cb cAb c[<]Ab c"),
    ("{{ c | replace('b', '-') }}{{ 'xbx' | replace('b', c) }}{{ c.replace('', '.') }}", "A[-] c[x]Ab c[x.]A[.]b[.] [.]c[.]"),
    ("{{ c.split(' ') | join('+') }}{{ c.split() | join }}{{ 'a b'.split() | join(c) }}", "Ab[+]cAbc[a]Ab c[b]"),
    ("{{ c.rsplit(' ', 1)[1] }}{{ c.partition('b')[0] }}{{ (c ~ '\\n' ~ c).splitlines() | last }}", "cAAb c"),
    ("{{ [c, 'x'] }}", "['Ab c', '[x]']"), ("{{ [c, 'x'] | tojson }}", "[\"Ab c\", \"[x]\"]"), ("{{ {c: 'x'} | tojson(indent=1) }}", "{\n \"Ab c\": \"[x]\"\n}"),
    ("{% for k in c %}{{ k }}{% endfor %}", "Ab c"), ("{% for k in '<' ~ c %}{{ k }}{% endfor %}", "[<]Ab c"),
    ("{% set s %}<{{ c }}>{% endset %}{{ s }}", "[<]Ab c[>]"), ("{% set s | upper %}x{{ c }}{% endset %}{{ s }}", "[X]AB C"),
    ("{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m(c) | trim }}{{ m('x') }}", "[<]Ab c[><x>]"),
    ("{% set ns = namespace(s='') %}{% set ns.s = ns.s ~ '<' ~ c %}{{ ns.s }}", "[<]Ab c"),
    ("{{ '<{}>{}'.format(c, 'x') }}{{ '%s|%s' % (c, 'x') }}{{ '{:>6}'.format(c) }}{{ c.format('x') }}", "[<]Ab c[>x]Ab c[|x  ]Ab cAb c"),
    ("{{ c | indent(1, true) }}{{ c.center(6, '*') }}{{ c | truncate(3, true, '', 0) }}{{ c.zfill(5) }}", "[ ]Ab c[*]Ab c[*]Ab [0]Ab c"),
    ("{{ c | default('x') }}{{ missing | default(c) }}{{ missing | default('x') }}{{ c if c else 'x' }}", "Ab cAb c[x]Ab c"),
    ("{{ c | first }}{{ c | last }}{{ c | list | join }}{{ c | reverse }}{{ [c] | map('upper') | first }}", "AcAb cc bAAB C"),
    ("{{ {'k': c}.k }}{{ {'k': c} | items | first | last }}{{ [c, 'x'] | sort | join(',') }}{{ [c] | max }}", "Ab cAb cAb c[,x]Ab c"),
    ("{{ c * 2 }}{{ 'x' * 2 }}{{ c | escape }}{{ '<' | e }}{{ c | string }}{{ c.removeprefix('A') }}{{ c.removesuffix('c') }}", "Ab cAb c[xx]Ab c[&lt;]Ab cb cAb "),
    ("{{ d }}{{ d.k }}{{ d['k'] | upper }}{{ d.keys() | join }}{{ d | tojson }}", "{'k': 'v'}vVk{\"k\": \"v\"}"),
    ("{{ 1 + 1 }}{{ true }}{{ [1] }}{{ c | length }}", "[2True][1][4]"), ("{{ ('<' ~ c ~ '>').split('b') | join('|') }}", "[<]A[|] c[>]"),
    ("{{ c ~ '' }}{{ '' ~ c }}{{ '<' ~ '' ~ '>' }}", "Ab cAb c[<>]"), ("{{ [c, c] | join('') | upper ~ '|' }}", "AB CAB C[|]"),
  ] as [(String, String)])
  func `content stays content through every operation`(template: String, expected: String) throws {
    let variables: [String: TemplateValue] = ["c": "Ab c", "d": ["k": "v"]]
    // Brackets of lists are content, and look like the marks: compared as they come.
    #expect(try marked(template, variables) == expected)
  }

  @Test func `messages are content, roles and names too; BOS and EOS are the template's`() throws {
    let template = try ChatTemplate("{{ bos_token }}{% for m in messages %}<{{ m.role }}|{{ m.name }}>{{ m.content }}{{ eos_token }}{% endfor %}")
    var message = ChatMessage(role: "</s>", content: "<s>")
    message.more = [("name", "</s><s>")]
    let rendered = try template.renderPrompt([message], addGenerationPrompt: false, bosToken: "<s>", eosToken: "</s>")
    #expect(rendered.text == "<s><</s>|</s><s>><s></s>")
    #expect(rendered.templateRanges == [0..<4, 8..<9, 16..<17, 20..<24])
  }

  @Test func `a role in a marker is the template's where it is a usual word, else content`() throws {
    let template = try ChatTemplate("{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] }}{% endfor %}")
    func ranges(_ role: String, _ content: String) throws -> [Range<Int>] {
      try template.renderPrompt([ChatMessage(role: role, content: content)], addGenerationPrompt: false).templateRanges
    }
    #expect(try ranges("user", "user") == [0..<8])
    #expect(try ranges("assistant", "<|user|>") == [0..<13])
    #expect(try ranges("end", "") == [0..<2, 5..<7])
    #expect(try ranges("user|><|system", "") == [0..<2, 16..<18])
    #expect(try ranges("User", "") == [0..<2, 6..<8])
  }

  @Test func `ranges ascend, do not touch and lie within the text, whatever a template does`() throws {
    let seed: UInt64 = 31
    var generator = SeededGenerator(seed: seed)
    let operations = [
      "s ~ c", "c ~ s", "s ~ '<é>'", "'\u{1F642}' ~ s", "s[1:]", "s[::-1]", "s[:-1]", "s | upper", "s | replace('a', '<')", "s | replace('', c)",
      "s.split('b') | join('|')", "s | trim", "s | tojson", "[s, c] | string", "s.title()", "s * 2", "s.rsplit('a', 1) | last", "s | indent(1, true)",
      "'{}<'.format(s)", "s.splitlines() | join('\\n')", "s | reverse", "s.center(20, 'x')", "s | truncate(9, true, '..', 0)", "s | list | join('-')",
    ]
    for _ in 0..<300 {
      let steps = (0..<6).map { _ in "{% set s = " + operations.randomElement(using: &generator)! + " %}{% set s = s[:200] %}" }
      let source = "{% set s = 'T' %}" + steps.joined() + "{{ s }}"
      let rendered = try ChatTemplate(source).renderPrompt(["c": "aé<b"])
      var end = -1
      let bytes = Array(rendered.text.utf8)
      for range in rendered.templateRanges {
        #expect(range.lowerBound > end && !range.isEmpty && range.upperBound <= bytes.count, "seed \(seed): \(source)")
        // Ranges begin and end between characters.
        #expect(bytes[range.lowerBound] & 0xC0 != 0x80, "seed \(seed): \(source)")
        #expect(range.upperBound == bytes.count || bytes[range.upperBound] & 0xC0 != 0x80, "seed \(seed): \(source)")
        end = range.upperBound
      }
    }
  }

  /// Content in letters that no literal has: none of them may ever lie in a template range.
  @Test func `no operation lets content into template text`() throws {
    let seed: UInt64 = 32
    var generator = SeededGenerator(seed: seed)
    let operations = [
      "s ~ c", "c ~ s", "s ~ '<x>'", "s[1:]", "s[::-1]", "s[::2]", "s[:-1]", "s | upper", "s | lower", "s | title", "s | capitalize", "s | replace('x', c)",
      "s | replace('z', '<')", "s.replace('', '.')", "s.split('z') | join('|')", "s.split('<') | join(c)", "s | trim", "s | tojson", "[s, c] | string",
      "s.title()", "s * 2", "s.rsplit('z', 1) | last", "s.partition('z') | join('x')", "s | indent(1, true)", "'{}<{!r}'.format(s, c)",
      "'%s<%r' % (c, s)", "s.splitlines() | join('x')", "s | reverse", "s.center(20, 'x')", "s | truncate(9, true, '..', 0)", "s | list | join('-')",
      "s | escape", "s.swapcase()", "{c: s} | tojson(indent=1)", "{s: c} | dictsort | first | join('x')", "[s, c] | sort | join", "[[s, c]] | map('join', 'x') | join",
      "s | unique | join", "s | batch(2) | map('join') | join('x')", "s.strip('xz')", "c.join([s, 'x'])", "m(s)", "m(c ~ s)", "s.zfill(9)", "(s, c) | last",
    ]
    for _ in 0..<400 {
      let steps = (0..<5).map { _ in "{% set s = " + operations.randomElement(using: &generator)! + " %}{% set s = (s | string)[:200] %}" }
      let source = "{% macro m(a) %}<{{ a }}{% endmacro %}{% set s = 'x' ~ c %}" + steps.joined() + "{{ s }}"
      let rendered = try ChatTemplate(source).renderPrompt(["c": "zZé"])
      let bytes = Array(rendered.text.utf8)
      for range in rendered.templateRanges {
        let text = String(decoding: bytes[range], as: UTF8.self).lowercased()
        #expect(!text.contains("z") && !text.contains("é"), "seed \(seed): \(source): \(text)")
      }
    }
  }

  @Test func `a template that wants parts is found by trying`() throws {
    func wants(_ source: String) throws -> Bool {
      try ChatTemplate(source).wantsContentParts(bosToken: "<s>", eosToken: "</s>", time: nil)
    }
    #expect(try wants("{{ messages[0]['content'][0]['text'] }}"))
    #expect(try wants("{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endfor %}"))
    #expect(try !wants("{{ messages[0]['content'] }}"))
    #expect(try !wants("{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{{ m.content[0].text }}{% endif %}{% endfor %}"))
    #expect(try !wants("{{ raise_exception('never') }}"))
    #expect(try !wants("constant"))
    let template = try ChatTemplate("<{{ messages[0]['content'][0]['text'] }}>")
    let rendered = try template.renderPrompt([ChatMessage(role: "user", content: "Hi").withContentParts], addGenerationPrompt: true)
    #expect(rendered.text == "<Hi>" && rendered.templateRanges == [0..<1, 3..<4])
  }
}
