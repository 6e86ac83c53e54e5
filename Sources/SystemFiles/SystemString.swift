#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// Text as the system passes it: arguments, variables of the environment, file names. Bytes without a zero, mostly UTF-8, but
/// nobody promises that.
public struct SystemString: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
  public let bytes: [UInt8]

  public init(_ bytes: [UInt8]) { self.bytes = bytes }
  public init(_ text: String) { bytes = Array(text.utf8) }
  public init(stringLiteral text: String) { self.init(text) }

  /// For messages: bytes that are no UTF-8 become U+FFFD.
  public var description: String { String(decoding: bytes, as: UTF8.self) }

  /// Nil if the bytes are not UTF-8.
  public var text: String? { String(validating: bytes, as: UTF8.self) }

  public var containsZero: Bool { bytes.contains(0) }
}

// MARK: Through code that takes strings

// A parser of arguments takes strings, which hold no arbitrary bytes. So a byte that is not part of valid UTF-8 travels as one of
// 256 scalars at the end of the last private plane, and a character that is itself one of those travels as its four bytes. Both
// directions together change nothing, whatever the bytes are.
extension SystemString {
  private static let firstScalar: UInt32 = 0x10_FF00

  /// From a string that `carrier` gave.
  public init(carriedBy carrier: String) {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(carrier.utf8.count)
    for scalar in carrier.unicodeScalars {
      if scalar.value >= Self.firstScalar {
        bytes.append(UInt8(truncatingIfNeeded: scalar.value))
      } else {
        bytes += Array(String(scalar).utf8)
      }
    }
    self.bytes = bytes
  }

  /// A string that stands for these bytes: the text itself where they are ordinary UTF-8.
  public var carrier: String {
    if let text, !text.unicodeScalars.contains(where: { $0.value >= Self.firstScalar }) { return text }
    var carrier = String.UnicodeScalarView()
    func carry(_ bytes: some Sequence<UInt8>) {
      for byte in bytes {
        guard let scalar = Unicode.Scalar(Self.firstScalar + UInt32(byte)) else { preconditionFailure("in the range of scalars") }
        carrier.append(scalar)
      }
    }
    var rest = bytes[...]
    while let first = rest.first {
      let length = first < 0x80 ? 1 : first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2
      let piece = rest.prefix(length)
      let scalars = String(validating: piece, as: UTF8.self)?.unicodeScalars
      if let scalars, scalars.count == 1, let scalar = scalars.first, scalar.value < Self.firstScalar {
        carrier.append(scalar)
        rest = rest.dropFirst(length)
      } else {
        carry(piece.prefix(1))
        rest = rest.dropFirst()
      }
    }
    return String(carrier)
  }

  /// Whether a string that `carrier` gave stands for bytes that are not text.
  public static func carriesBytes(_ carrier: String) -> Bool {
    carrier.unicodeScalars.contains { $0.value >= firstScalar } && SystemString(carriedBy: carrier).text == nil
  }
}

extension SystemString {
  /// The arguments of this process, the program's name first, byte for byte.
  public static var processArguments: [SystemString] {
    var arguments: [SystemString] = []
    // SAFETY: the system gives argc strings that end with a zero and live as long as the process.
    for index in 0..<Int(CommandLine.argc) {
      guard let argument = unsafe CommandLine.unsafeArgv[index] else { break }
      unsafe arguments.append(SystemString(UnsafeBufferPointer(start: argument, count: strlen(argument)).map { UInt8(bitPattern: $0) }))
    }
    return arguments
  }
}
