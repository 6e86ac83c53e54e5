import Bindery
import Foundation
import Testing
import VirtualMemory
import _TestSupport

@Suite("Many sessions in one process", .serialized)
struct SessionScaleTests {
  @Test("a thousand and more sessions of one model fit, each with few mappings and little memory", .disabled(if: isAddressSanitized))
  func thousand() throws {
    let model = try TinyModel.host().openModel(at: TinyModel.folder)
    let reference = try #require(TinyModel.cases.first)
    let request = GenerationRequest(promptTokens: reference.prompt_token_ids, tokenCountMax: 4)
    let right = try model.makeSession().generate(request).tokens
    let (mappings, memory) = (try ProcessMemory.mappingCount(), try ProcessMemory.residentAnonymousByteCount())
    // More by hand: 10 000 take about a minute, and 2.1 mappings each.
    let count = ProcessInfo.processInfo.environment["BINDERY_SESSION_COUNT"].flatMap(Int.init) ?? 1200
    var sessions: [Session] = []
    for _ in 0..<count { sessions.append(try model.makeSession()) }
    // Other suites run meanwhile, and map and allocate: the bounds are wide.
    let mappingsPerSession = Double(try ProcessMemory.mappingCount() - mappings) / Double(count)
    let bytesPerSession = (try ProcessMemory.residentAnonymousByteCount() - memory) / count
    #expect(mappingsPerSession < 3.5, "\(mappingsPerSession) mappings a session")
    #expect(bytesPerSession < 512 << 10, "\(bytesPerSession) resident bytes a session")
    print("\(count) sessions: \(mappingsPerSession) mappings and \(bytesPerSession) resident bytes each")
    for index in [0, count / 2, 1016, 1017, count - 1] { #expect(try sessions[index].generate(request).tokens == right) }
  }
}
