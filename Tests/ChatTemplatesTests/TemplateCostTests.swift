import ChatTemplates
import Foundation
import Synchronization
import Testing

/// Templates that found a way around the limits, or might: each ends within seconds, with an answer or a clear error.
@Suite struct TemplateCostTests {
  func outcome(_ template: String, _ variables: [String: TemplateValue] = [:]) -> ChatTemplateError.Code? {
    do throws(ChatTemplateError) {
      _ = try ChatTemplate(template).renderPrompt(variables)
      return nil
    } catch { return error.code }
  }

  /// None of these may take more than a few seconds, whatever it answers.
  @Test(arguments: [
    // A search that is quadratic in a simple-minded way.
    "{% set a = 'a' * 1000000 %}{% set b = 'a' * 500000 ~ 'b' %}{{ b in a }}{{ a.find(b) }}{{ a.count(b) }}{{ a.replace(b, '') | length }}",
    "{% set a = 'a' * 1000000 %}{% set b = 'b' ~ 'a' * 500000 %}{{ a.rfind(b) }}{{ a.rsplit(b) | length }}{{ a.rpartition(b) | length }}",
    // Sets of values that hash alike, or equal nothing.
    "{% set ns = namespace(l=[]) %}{% set inf = 1e308 * 10 %}{{ ([inf - inf] * 200000) | unique | list | length }}",
    "{{ ([range] * 200000) | unique | list | length }}", "{% macro m() %}{% endmacro %}{{ ([m] * 200000) | unique | list | length }}",
    "{% set ns = namespace(l=[]) %}{% for i in range(1000) %}{% set ns.l = ns.l + [{'a': i}] %}{% endfor %}{{ (ns.l * 50) | unique | list | length }}",
    "{% set ns = namespace(l=[]) %}{% for i in range(1000) %}{% set ns.l = ns.l + [9223372036854775807 - i] %}{% endfor %}{{ (ns.l * 100) | unique | list | length }}",
    // Text that is mostly borders between template and content.
    "{% set s = '' %}{% set ns = namespace(s='') %}{% for i in range(2000) %}{% set ns.s = ns.s ~ 'a' ~ c %}{% endfor %}{{ ns.s | upper | replace('A', 'bb') | length }}",
    "{% set ns = namespace(s='a' ~ c) %}{% for i in range(12) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{% for x in ns.s %}{{ x }}{% endfor %}",
    "{{ 'x' | center(9223372036854775807) }}", "{{ 'x'.zfill(-9223372036854775808) }}", "{{ [1] | batch(9223372036854775807, 0) | list }}",
    "{{ [1] | slice(9223372036854775807) | list }}", "{{ '%9223372036854775807d' % 1 }}", "{{ '{:9223372036854775807}'.format(1) }}",
    "{{ '%.9223372036854775807f' % 1 }}", "{{ '{:.1000f}'.format(5e-324) }}", "{{ 2 ** 9223372036854775807 }}", "{{ 'a' * 2 ** 40 }}", "{{ [0] * 2 ** 40 }}",
    "{{ range(2 ** 60) }}", "{{ range(0, -9223372036854775807 - 1, -1) }}", "{{ range(9223372036854775807, -9223372036854775807, -9223372036854775807) | list }}",
    "{{ range(9223372036854775806, 9223372036854775807, 5) | list }}", "{{ -(-9223372036854775807 - 1) }}", "{{ (-9223372036854775807 - 1) // -1 }}",
    "{{ (-9223372036854775807 - 1) % -1 }}", "{{ (-9223372036854775807 - 1) | abs }}", "{{ 'abc'[9223372036854775807:] }}{{ 'abc'[-9223372036854775807::9223372036854775807] }}",
    "{{ 'abc'.find('a', -9223372036854775807 - 1, 9223372036854775807) }}{{ 'a'.split('b', 9223372036854775807) }}",
    "{{ 'abc' | truncate(9223372036854775807) }}{{ 'abc' | truncate(3, true, '', 9223372036854775807) }}", "{{ 'x' | indent(1000) * 1000 }}",
    "{{ 1e300 | int }}{{ 1e18 | int }}{{ '1e999' | float | int }}", "{{ strftime_now('%Y' * 100000) }}", "{{ '{}' * 100000 }}", "{{ ('{}' * 100000).format(1) }}",
  ])
  func `hostile expressions end soon`(template: String) {
    let clock = ContinuousClock()
    let start = clock.now
    _ = outcome(template, ["c": "ü"])
    #expect(clock.now - start < .seconds(20), "\(template)")
  }

  /// Stack, on a thread that has as little as threads of a service have: 512 KiB.
  @Test func `nothing nests deeper than the stack of a small thread holds`() throws {
    func repeated(_ text: String, _ count: Int) -> String { String(repeating: text, count: count) }
    let templates = [
      // Levels of chains within brackets within chains: each is short, all together are not.
      "{{ " + repeated("(", 90) + "1" + repeated(repeated(" + 1", 90) + ")", 90) + " }}",
      "{{ " + repeated("(", 40) + "1" + repeated(repeated(" * 1", 50) + repeated(" + 1", 50) + repeated(" and 1", 50) + repeated(" or 1", 50) + ")", 40) + " }}",
      "{{ " + repeated("(", 50) + "x" + repeated(repeated(".a", 90) + ")", 50) + " }}",
      "{{ 'a' | map(" + repeated("'map', ", 20_000) + "'upper') | list }}",
      "{% set ns = namespace(s=[1]) %}{% for i in range(100000) %}{% set ns.s = [ns.s.index] %}{% endfor %}",
      "{% set ns = namespace(s={}) %}{% for i in range(100000) %}{% set ns.s = {'a': ns.s.get} %}{% endfor %}",
      "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}",
      "{% macro m(n) %}" + repeated("{% if 1 %}", 80) + "{{ [[[[[m(n + 1)]]]]] }}" + repeated("{% endif %}", 80) + "{% endmacro %}{{ m(0) }}",
      "{% macro m(n, a=m) %}{{ a(n, a) | map('trim') | join | default(a(n, a)) }}{% endmacro %}{{ m(0, m) }}",
      repeated("{% for i in [1] %}", 90) + "{{ " + repeated("[", 90) + "1" + repeated("]", 90) + " }}" + repeated("{% endfor %}", 90),
      repeated("{% if 1 %}", 50_000), repeated("{% for a in b %}", 50_000), "{% set " + repeated("(", 50_000) + "a" + repeated(")", 50_000) + " = 1 %}",
      "{{ " + repeated("not ", 90) + repeated("-", 90) + "1 }}", "{{ " + repeated("{1:", 90) + "1" + repeated("}", 90) + " | tojson }}",
      "{{ x " + repeated("if 1 else x ", 20_000) + "}}", "{{ " + repeated("x if x else ", 20_000) + "1 }}", repeated("{{", 50_000), repeated("{% macro m() %}", 50_000),
    ]
    let done = DispatchSemaphore(value: 0)
    let count = Mutex(0)
    let thread = Thread {
      for template in templates {
        _ = outcome(template)
        count.withLock { $0 += 1 }
      }
      done.signal()
    }
    thread.stackSize = 512 << 10
    thread.start()
    done.wait()
    #expect(count.withLock { $0 } == templates.count)
  }

  @Test func `macros call each other as deep as templates need`() throws {
    let template = try ChatTemplate("{% macro r(n) %}{{ n }}{% if n > 0 %},{{ r(n - 1) }}{% endif %}{% endmacro %}{{ r(60) }}")
    #expect(try template.render([:]) == (0...60).reversed().map(String.init).joined(separator: ","))
    #expect(outcome("{% macro r(n) %}{{ r(n + 1) }}{% endmacro %}{{ r(0) }}") == .limitExceeded)
  }

  @Test func `rendering stops soon when it is asked to`() throws {
    let template = try ChatTemplate("{% for i in range(1000) %}{% for j in range(1000) %}{{ i }}{% endfor %}{% endfor %}")
    var questions = 0
    do throws(ChatTemplateError) {
      _ = try template.renderPrompt([:]) {
        questions += 1
        return questions == 3
      }
      Issue.record("it was not stopped")
    } catch { #expect(error.code == .stopped) }
    #expect(questions == 3)
  }

  @Test func `messages of errors steer no terminal`() {
    do throws(ChatTemplateError) {
      _ = try ChatTemplate("{{ raise_exception(c) }}").render(["c": .content("a\u{1B}[31m\n\u{202E}" + String(repeating: "x", count: 5000))])
      Issue.record("it raises")
    } catch {
      #expect(error.code == .raised && error.message.hasPrefix("a\\x1b[31m\\x0a\\u202e") && error.message.utf8.count < 1100)
    }
  }

  @Test func `a template's clock is the host's`() throws {
    let template = try ChatTemplate("{{ strftime_now('%Y-%m-%d %H:%M:%S %z %Z') }}")
    func text(_ seconds: Int, _ offset: Int = 0) throws -> String {
      try template.render([:], time: TemplateTime(unixSeconds: seconds, utcOffsetSeconds: offset))
    }
    #expect(try text(0) == "1970-01-01 00:00:00 +0000 UTC")
    #expect(try text(-1) == "1969-12-31 23:59:59 +0000 UTC")
    #expect(try text(951_782_400, 3600) == "2000-02-29 01:00:00 +0100 +0100")
    #expect(try text(1_709_164_800, -19_800) == "2024-02-28 18:30:00 -0530 -0530")
    #expect(try text(4_107_542_400) == "2100-03-01 00:00:00 +0000 UTC")
    #expect(try text(.max).hasSuffix("UTC") && text(.min).hasSuffix("UTC"))
    #expect(outcome("{{ strftime_now('%Y') }}") == .unsupported)
    // What a request puts into a format stays content.
    let mixed = try ChatTemplate("{{ strftime_now('<%d>' ~ c) }}").renderPrompt(["c": "<%d>"], time: TemplateTime(unixSeconds: 0))
    #expect(mixed.text == "<01><01>" && mixed.templateRanges == [0..<4])
  }
}
