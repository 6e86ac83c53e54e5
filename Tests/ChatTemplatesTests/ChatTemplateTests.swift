import ChatTemplates
import Testing
import _TestSupport

@Suite struct ChatTemplateTests {
  func error(_ template: String, _ variables: [String: TemplateValue] = [:]) -> ChatTemplateError? {
    do throws(ChatTemplateError) {
      _ = try ChatTemplate(template).render(variables)
      return nil
    } catch { return error }
  }

  @Test func `a conversation is laid out turn by turn`() throws {
    let template = try ChatTemplate(
      """
      {{ bos_token }}{% for message in messages %}
      <{{ message.role }}>{{ message['content'] | trim }}</{{ message.role }}>
      {% endfor %}
      {% if add_generation_prompt %}<assistant>{% endif %}
      """)
    let messages = [ChatMessage(role: "system", content: "Be kind. "), ChatMessage(role: "user", content: "Hi {{ x }}")]
    #expect(
      try template.render(messages, addGenerationPrompt: true, bosToken: "<s>")
        == "<s><system>Be kind.</system>\n<user>Hi {{ x }}</user>\n<assistant>")
    #expect(try template.render([], addGenerationPrompt: false) == "")
  }

  @Test func `further keys and variables reach the template, and come before the usual ones`() throws {
    let template = try ChatTemplate("{{ messages[0].tool_calls[0].name }} {{ tools | tojson }} {{ eos_token }}")
    var message = ChatMessage(role: "assistant", content: "")
    message.more = [("tool_calls", [.dictionary(TemplateDictionary([("name", "f")]))])]
    let tools = try #require(TemplateValue(json: #"[{"z": 1, "a": [true, null, 1.5, "\u00e9\ud83d\ude42"]}]"#))
    #expect(
      try template.render([message], addGenerationPrompt: false, variables: ["tools": tools, "eos_token": "E"])
        == #"f [{"z": 1, "a": [true, null, 1.5, "é🙂"]}] E"#)
    #expect(try template.render([message], addGenerationPrompt: false) == "f null ")
  }

  @Test func `errors say what is wrong, in which line and column`() {
    let unknown = error("line one\n  {{ x | nonsense }}")
    #expect(unknown?.code == .unsupported && unknown?.line == 2 && unknown?.column == 8)
    #expect(unknown?.description == "chat template, line 2, column 8: the filter \"nonsense\" is not known")
    let open = error("a\n{% if x %}\nb")
    #expect(open?.code == .syntax && open?.line == 2 && open?.column == 1)
    #expect(open?.message == "the block \"if\" is not closed: expected \"{% elif\" or \"else\" or \"endif %}\"")
    let missing = error("{{ messages[0]['role'] }}")
    #expect(missing?.code == .evaluation && missing?.message == "\"messages\" is undefined")
    #expect(error("{% include 'x' %}")?.message == "the statement \"include\" is not supported")
    #expect(error("{% fancy %}")?.message == "unknown statement \"fancy\"")
    #expect(error("é🙂{{ 1 + }}")?.column == 10)
    #expect(error("{{ 'abc'.expandtabs(3) }}")?.message == "\"expandtabs\" is no function or method that is known here")
  }

  @Test func `a template that refuses the conversation says why`() {
    let refused = error("{% if true %}{{ raise_exception('roles must alternate') }}{% endif %}")
    #expect(refused?.code == .raised && refused?.message == "roles must alternate" && refused?.line == 1)
  }

  @Test func `rendering does not change what a later rendering sees`() throws {
    let template = try ChatTemplate("{% set ns = namespace(n=0) %}{% set ns.n = ns.n + 1 %}{% set x = 5 %}{{ ns.n }}{{ x }}")
    #expect(try template.render(["x": 1]) == "15")
    #expect(try template.render(["x": 1]) == "15")
  }

  @Test func `JSON is read in order, and nothing else than JSON`() {
    func json(_ text: String) -> String? {
      TemplateValue(json: text).flatMap { try? ChatTemplate("{{ v | tojson }}").render(["v": $0]) }
    }
    #expect(json(#" {"b": [1, -2.5, 1e3, {}], "a": "\n\"\\\/" , "b": 2} "#) == #"{"b": 2, "a": "\n\"\\/"}"#)
    #expect(json("[1, 2") == nil && json("[1,]") == nil && json("{1: 2}") == nil && json("01") == nil)
    #expect(json("") == nil && json("tru") == nil && json("1 2") == nil && json("\"a") == nil && json("\"\\x\"") == nil)
    #expect(json(#""\ud800""#) == "\"\u{FFFD}\"")
    #expect(json(String(repeating: "[", count: 100_000)) == nil)
    #expect(json("99999999999999999999") == "1e+20")
  }
}

/// Templates that are made to cost: each must end soon, with a limit's error.
@Suite struct HostileTemplateTests {
  func code(_ template: String, limits: ChatTemplateLimits = .init()) -> ChatTemplateError.Code? {
    do throws(ChatTemplateError) {
      _ = try ChatTemplate(template, limits: limits).render([:])
      return nil
    } catch { return error.code }
  }

  @Test(arguments: [
    "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
    "{% for a in range(9223372036854775807) %}{% endfor %}",
    "{% for a in range(-9223372036854775807, 9223372036854775807) %}{% endfor %}",
    "{{ 'x' * 9223372036854775807 }}",
    "{{ ('x' * 1000000) * 1000000 }}",
    "{{ [0] * 4611686018427387904 }}",
    "{% set ns = namespace(s='xxxxxxxx') %}{% for i in range(100) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    "{% set ns = namespace(s='xxxxxxxx') %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
    "{% set ns = namespace(s=[1]) %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
    "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(100) %}{% set ns.s = ns.s|replace('a', 'aaaa') %}{% endfor %}",
    "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(100) %}{% set ns.s = ns.s|replace('', ns.s) %}{% endfor %}",
    "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(100) %}{% set ns.s = ns.s.join([ns.s, ns.s]) %}{% endfor %}",
    "{% set ns = namespace(s=[1]) %}{% for i in range(5000) %}{% set ns.s = [ns.s] %}{% endfor %}",
    "{% set ns = namespace(s=[1]) %}{% for i in range(5000) %}{% set ns.s = {'a': ns.s} %}{% endfor %}",
    "{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s | tojson }}",
    "{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}",
    "{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s == ns.s[0] }}",
    "{% set a = namespace(s=[1]) %}{% set b = namespace(s=[1]) %}{% for i in range(60) %}{% set a.s = [a.s, a.s] %}"
      + "{% set b.s = [b.s, b.s] %}{% endfor %}{{ a.s == b.s }}{{ a.s < b.s }}{{ a.s in [b.s] }}{{ {a.s: 1} }}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% macro m() %}{{ m() }}{{ m() }}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
    "{% for i in range(3000) %}{{ 'x' * 10000 }}{% endfor %}",
    "{% for i in range(1000) %}{{ ('x\\n' * 100000)|indent(1000) }}{% endfor %}",
  ])
  func `what would never end, or fill the memory, meets a limit`(template: String) {
    // An eighth of the usual steps: the attacks are the same, and builds without optimisation end sooner.
    var limits = ChatTemplateLimits()
    limits.stepCountMax = 1 << 18
    #expect(code(template, limits: limits) == .limitExceeded)
  }

  @Test(arguments: [
    ("(", ")"), ("[", "]"), ("{1:", "}"), ("not ", ""), ("-", ""), ("+", ""), ("x if ", " else y"), ("f(", ")"), ("a[", "]"),
  ])
  func `expressions nest so deep and no deeper`(open: String, close: String) {
    func nested(_ depth: Int) -> String {
      "{{ " + String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth) + " }}"
    }
    #expect(code(nested(100_000 / open.utf8.count)) == .limitExceeded)
    #expect(code(nested(10)) != .limitExceeded)
  }

  @Test func `chains are as long as nesting is deep`() {
    for link in [" + 1", " * 1", " ** 1", " and 1", " or 0", "|abs", " is number", " if 1", ".a", "[0]", "()"] {
      #expect(code("{{ 1" + String(repeating: link, count: 50_000) + " }}") == .limitExceeded, "\(link)")
    }
    // These do not nest when they are evaluated.
    for link in [" ~ 1", " < 2", " == 1"] {
      #expect(code("{{ 1" + String(repeating: link, count: 20_000) + " }}") != .limitExceeded, "\(link)")
    }
    #expect(code("{{ '" + "a' '".description + String(repeating: "b' '", count: 20_000) + "c' }}") == nil)
  }

  @Test func `blocks nest so deep and no deeper`() {
    let blocks = [("{% if 1 %}", "{% endif %}"), ("{% for a in [1] %}", "{% endfor %}"), ("{% set a %}", "{% endset %}")]
    for (open, close) in blocks {
      #expect(code(String(repeating: open, count: 10_000) + String(repeating: close, count: 10_000)) == .limitExceeded)
      #expect(code(String(repeating: open, count: 20) + "x" + String(repeating: close, count: 20)) == nil)
    }
  }

  @Test func `each limit is its own`() {
    var limits = ChatTemplateLimits()
    limits.outputByteCountMax = 10
    #expect(code("1234567890", limits: limits) == nil)
    #expect(code("12345678901", limits: limits) == .limitExceeded)
    limits = ChatTemplateLimits()
    limits.sourceCharacterCountMax = 10
    #expect(code("1234567890", limits: limits) == nil)
    #expect(code("12345678901", limits: limits) == .limitExceeded)
    limits = ChatTemplateLimits()
    limits.stepCountMax = 100
    #expect(code("{% for i in range(5) %}{{ i }}{% endfor %}", limits: limits) == nil)
    #expect(code("{% for i in range(50) %}{{ i }}{% endfor %}", limits: limits) == .limitExceeded)
  }

  @Test func `random changes of a template are an error or a text, never a crash`() {
    let seed: UInt64 = 2718
    var generator = SeededGenerator(seed: seed)
    let template = """
      {%- set ns = namespace(n=0, s='') -%}{# note #}
      {% macro m(a, b=[1, 2.5]) %}{{ a ~ b[::-1] | join(', ') }}{% endmacro %}
      {% for k, v in {'x': 1, "y": [none, true]}.items() if v is defined -%}
        {{ loop.index0 * 2 ** 3 // (7 % 4) - -1 }} {{ k | upper | trim('X') if loop.first else m(v) | tojson(indent=2) }}
        {% set ns.n = ns.n + 1 %}{% if ns.n >= 1 and not ns.s in 'abc' %}{{ 'q'.split('q')[0] }}{% elif 1 %}b{% endif %}
      {%+ else %}{% raw %}{{ no }}{% endraw %}{% endfor %}
      """
    let original = Array(template.unicodeScalars)
    let pieces = Array("{}%#'\"()[]|.,:~+-*/ \n09azé".unicodeScalars)
    var limits = ChatTemplateLimits()
    limits.stepCountMax = 100_000
    var renderedCount = 0
    for _ in 0..<2000 {
      var scalars = original
      for _ in 0..<Int.random(in: 1...4, using: &generator) where !scalars.isEmpty {
        let index = Int.random(in: 0..<scalars.count, using: &generator)
        switch Int.random(in: 0..<3, using: &generator) {
        case 0: scalars[index] = pieces.randomElement(using: &generator)!
        case 1: scalars.insert(pieces.randomElement(using: &generator)!, at: index)
        default: scalars.removeSubrange(index..<min(scalars.count, index + Int.random(in: 1...12, using: &generator)))
        }
      }
      var text = String.UnicodeScalarView()
      text.append(contentsOf: scalars)
      if code(String(text), limits: limits) == nil { renderedCount += 1 }
    }
    #expect(renderedCount > 20 && renderedCount < 2000, "seed \(seed): \(renderedCount) of 2000 rendered")
    for count in 0..<original.count {
      var text = String.UnicodeScalarView()
      text.append(contentsOf: original[..<count])
      _ = code(String(text), limits: limits)
    }
  }
}
