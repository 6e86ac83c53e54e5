import Foundation

/// The part of the copy benchmark that runs in a process of its own, so that its memory and its faults are nobody else's.
public enum CopyWorker {
  public struct Request: Codable, Sendable {
    var loading: WeightGuest.Loading
    var path: String
    /// Which guests, in the order of their making, are measured; as many are made as the greatest number says. Ascending.
    var marks: [Int]
    /// After all passes, write a line and wait for one before the final probe, and then for the end of standard input.
    var waits = false
  }

  public struct Mark: Codable, Sendable {
    /// The how many-th guest of the process.
    var guest: Int
    /// From before the file is opened until the guest could run.
    var readySeconds: Double
    /// The guest's first pass over the whole file, and the one after it.
    var firstPassSeconds: Double
    var secondPassSeconds: Double
    /// What a guest added to the process, a pass included: the mean since the mark before. (Shares of single pages are rounded.)
    var added: ProcessProbe
  }

  public struct Response: Codable, Sendable {
    var marks: [Mark]
    var copiedByteCount: UInt64
    var checksum: UInt64
    /// All that the process holds in the end.
    var total: ProcessProbe
  }

  /// Does what the JSON text asks for and writes the response to standard output.
  public static func run(_ request: String) throws {
    let request = try JSONDecoder().decode(Request.self, from: Data(request.utf8))
    let program = try WeightGuest.Program(request.loading)
    var guests: [WeightGuest] = []
    var marks: [Mark] = []
    var checksum: UInt64 = 0
    var last = (guest: 0, probe: try ProcessProbe.now())
    for number in 1...(request.marks.last ?? 1) {
      let (ready, guest) = try seconds { try WeightGuest(program, path: request.path) }
      guests.append(guest)
      let (first, sum) = try seconds { try guest.pass() }
      guard request.marks.contains(number) else { continue }
      let (second, _) = try seconds { try guest.pass() }
      checksum = sum
      let probe = try ProcessProbe.now()
      marks.append(
        Mark(
          guest: number, readySeconds: ready, firstPassSeconds: first, secondPassSeconds: second,
          added: (probe - last.probe) / (number - last.guest)))
      last = (number, probe)
    }
    if request.waits {
      print("ready")
      fflush(nil)
      _ = readLine()
    }
    let response = Response(
      marks: marks, copiedByteCount: guests.reduce(0) { $0 + $1.copiedByteCount }, checksum: checksum,
      total: try ProcessProbe.now())
    print(String(decoding: try JSONEncoder().encode(response), as: UTF8.self))
    fflush(nil)
    if request.waits { _ = readLine() }
    withExtendedLifetime(guests) {}
  }
}
