import Foundation
import Testing
import _TestSupport

/// `TENANT_SECONDS=600 swift test -c release --filter TenantTests` (or `make tenants MINUTES=10`) runs them as long as one likes; with
/// `--sanitize=address` or `thread` they show what the sanitisers see.
@Suite("Tenants: six hostile ones beside two honest ones", .serialized)
struct TenantTests {
  @Test("honest tenants get right texts and their share, whatever the others do")
  func tenants() throws {
    let seconds = ProcessInfo.processInfo.environment["TENANT_SECONDS"].flatMap(Double.init) ?? 6
    let report = try TenantHarness().run(for: .milliseconds(Int64(seconds * 1000)))
    print("tenants, \(report.seconds.rounded()) s: runs \(report.runs.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" })")
    print("tenants: honest tokens \(report.honestTokenCounts), alone \(report.soloRates)/s, smallest share \(report.shareMin)")
    #expect(report.wrongTexts.isEmpty)
    #expect(report.broken.isEmpty)
    #expect(report.runs["honest", default: 0] > 0)
    // A share is a figure of a machine, and sanitisers and short runs distort it: judged only when somebody measures.
    if seconds >= 60, ProcessInfo.processInfo.environment["TENANT_SHARE"] != "0" { #expect(report.shareMin >= 0.4) }
  }
}
