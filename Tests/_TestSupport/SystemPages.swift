import Foundation
import VirtualMemory

/// How this machine's system serves page faults: what tests that count them derive their bounds from.
public enum SystemPages {
  /// Whether each fault on fresh memory brings one page: no transparent huge pages of any size unless they are asked for.
  public static let faultsBringOnePage: Bool = {
    let folder = "/sys/kernel/mm/transparent_hugepage"
    func mode(_ name: String) -> String {
      let text = (try? String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)) ?? "[never]"
      return text.split(separator: "[").last?.split(separator: "]").first.map(String.init) ?? "never"
    }
    let global = mode("enabled")
    let sizes = (try? FileManager.default.contentsOfDirectory(atPath: folder))?.filter { $0.hasPrefix("hugepages-") } ?? []
    if sizes.isEmpty { return global != "always" }
    return sizes.map { mode("\($0)/enabled") }.allSatisfy { $0 != "always" && !($0 == "inherit" && global == "always") }
  }()

  /// A fault on a file page that is in the page cache maps those around it too: 64 KiB unless the machine's owner has changed
  /// that, and more where the page cache holds larger folios.
  public static let faultAroundByteCount = 1 << 16

  /// Pages of the processor that so many bytes take.
  public static func count(_ byteCount: some BinaryInteger) -> Int {
    (Int(byteCount) + hostPageByteCount - 1) / hostPageByteCount
  }
}
