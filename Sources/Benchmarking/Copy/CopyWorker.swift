import Foundation
import VirtualMemory

/// The part of the copy benchmark that runs in a process of its own, so that its memory and its faults are nobody else's.
public enum CopyWorker {
  /// One of these is all that a script has to give: `bindery bench copy-worker JSON`.
  struct Request: Codable, Sendable {
    var loading: WeightGuest.Loading
    var path: String
    /// Which guests, in the order of their making, are measured; as many are made as the greatest number says. Ascending.
    var marks: [Int]
    /// Write a line and wait for one before the first guest and before the final probe, and in the end wait for the end of standard
    /// input.
    var waits = false
  }

  struct Mark: Codable, Sendable {
    /// The how many-th guest of the process.
    var guest: Int
    /// From before the file is opened until the guest could run: the median of the guests since the mark before, this one among them.
    var readySeconds: Double
    /// A guest's first pass over the whole file, the median of the same guests; and the second pass of this one.
    var firstPassSeconds: Double
    var secondPassSeconds: Double
    /// Bytes copied for each of them.
    var copiedByteCount: UInt64
    /// What a guest added to the process, a pass included: the mean since the mark before. (Shares of single pages are rounded.)
    var added: ProcessProbe
  }

  struct Response: Codable, Sendable {
    var marks: [Mark]
    var checksum: UInt64
    /// All that the process holds in the end.
    var total: ProcessProbe
  }

  /// Does what the JSON text asks for and writes the response to standard output.
  public static func run(_ request: String) throws {
    let (decoder, text) = (JSONDecoder(), Data(request.utf8))
    // A kind of pages, or a way of loading.
    if let request = try? decoder.decode(PageWorker.Request.self, from: text) { return try answer(PageWorker.run(request)) }
    try load(decoder.decode(Request.self, from: text))
  }

  private static func load(_ request: Request) throws {
    let program = try WeightGuest.Program(request.loading)
    var guests: [WeightGuest] = []
    var marks: [Mark] = []
    var checksum: UInt64 = 0
    var (readyTimes, passTimes): ([Double], [Double]) = ([], [])
    var copied: UInt64 = 0
    if request.loading != .map { try primeMemory(byteCount: RegularFile(path: request.path).byteCount) }
    if request.waits { wait() }
    var last = (guest: 0, probe: try ProcessProbe.now())
    for number in 1...(request.marks.last ?? 1) {
      let (ready, guest) = try seconds { try WeightGuest(program, path: request.path) }
      guests.append(guest)
      readyTimes.append(ready)
      copied += guest.copiedByteCount
      let (first, sum) = try seconds { try guest.pass() }
      passTimes.append(first)
      guard request.marks.contains(number) else { continue }
      let (second, _) = try seconds { try guest.pass() }
      checksum = sum
      let probe = try ProcessProbe.now()
      let count = number - last.guest
      marks.append(
        Mark(
          guest: number, readySeconds: median(readyTimes), firstPassSeconds: median(passTimes), secondPassSeconds: second,
          copiedByteCount: copied / UInt64(count), added: (probe - last.probe) / count))
      (last, readyTimes, passTimes, copied) = ((number, probe), [], [], 0)
    }
    if request.waits { wait() }
    try answer(Response(marks: marks, checksum: checksum, total: try ProcessProbe.now()))
    if request.waits { _ = readLine() }
    withExtendedLifetime(guests) {}
  }

  private static func answer(_ response: some Encodable) throws {
    print(String(decoding: try JSONEncoder().encode(response), as: UTF8.self))
    fflush(nil)
  }

  private static func wait() {
    print("waiting")
    fflush(nil)
    _ = readLine()
  }
}
