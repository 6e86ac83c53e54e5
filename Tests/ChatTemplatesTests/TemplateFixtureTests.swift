import ChatTemplates
import Foundation
import Testing
import _TestSupport

/// Templates as Jinja itself renders them: see Tests/Fixtures/ChatTemplates/make_templates.py.
@Suite struct TemplateFixtureTests {
  struct Case: Decodable {
    let template: String, variables: String, rendered: String?, error: String?
  }

  /// What Jinja renders and this engine refuses: a keyword as a name, a comment that never ends.
  static let refused: Set<String> = ["{{ in }}", "{#"]

  /// The clock of the fixtures.
  static let time = TemplateTime(unixSeconds: 1_709_211_909)

  static func variables(_ json: String) throws -> [String: TemplateValue] {
    guard case .dictionary(let dictionary)? = TemplateValue(json: json) else { throw CocoaError(.fileReadCorruptFile) }
    var variables: [String: TemplateValue] = [:]
    for entry in dictionary.entries {
      if case .string(let name) = entry.key { variables[name.text] = entry.value }
    }
    return variables
  }

  @Test func `everything renders, or fails, as in Jinja`() throws {
    let url = Repository.fixture("ChatTemplates/templates.json")
    let cases = try JSONDecoder().decode([Case].self, from: Data(contentsOf: url))
    #expect(cases.count > 740)
    for example in cases {
      let variables = try Self.variables(example.variables)
      let found: Result<String, ChatTemplateError>
      do throws(ChatTemplateError) {
        found = .success(try ChatTemplate(example.template).render(variables, time: Self.time))
      } catch { found = .failure(error) }
      switch (found, example.rendered) {
      case (.success(let text), let expected?):
        #expect(Array(text.utf8) == Array(expected.utf8), "\(example.template.debugDescription): \(text.debugDescription)")
      case (.failure(let error), nil):
        #expect(error.line > 0 && error.column > 0 && !error.message.isEmpty)
        #expect(error.code != .limitExceeded)
      case (.success(let text), nil):
        Issue.record("\(example.template.debugDescription): Jinja says \(example.error ?? ""), here \(text.debugDescription)")
      case (.failure(let error), _?):
        if Self.refused.contains(example.template), [.unsupported, .syntax].contains(error.code) { continue }
        Issue.record("\(example.template.debugDescription): \(error)")
      }
    }
  }
}
