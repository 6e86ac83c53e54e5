import SystemFiles

/// What a command program is given: nothing that is not named here.
public struct WASIConfiguration: Sendable {
  /// Where a standard stream leads.
  public enum Stream: Hashable, Sendable {
    /// The host's own. Where it is closed, reads are at their end and writes fail.
    case inherited
    /// Nowhere: reads end at once, writes vanish.
    case null
    /// A descriptor of the caller, duplicated.
    case descriptor(CInt)
  }

  /// A folder of the host that the program sees under a name of its own.
  public struct Preopen: Hashable, Sendable {
    public enum Access: Hashable, Sendable { case readOnly, readWrite }
    public var guestPath: SystemString
    public var hostPath: SystemString
    public var access: Access

    public init(guestPath: String, hostPath: String, access: Access = .readWrite) {
      self.init(guestPath: SystemString(guestPath), hostPath: SystemString(hostPath), access: access)
    }

    public init(guestPath: SystemString, hostPath: SystemString, access: Access = .readWrite) {
      self.guestPath = guestPath
      self.hostPath = hostPath
      self.access = access
    }
  }

  /// The first is the program's name.
  public var arguments: [SystemString] = []
  public var environment: [(name: SystemString, value: SystemString)] = []
  public var preopens: [Preopen] = []
  public var standardInput = Stream.inherited
  public var standardOutput = Stream.inherited
  public var standardError = Stream.inherited
  /// Whether control characters are escaped in what the program writes to a standard stream that is a terminal. Off, a program
  /// can have colours, and everything else that the terminal obeys: for programs that are trusted with it.
  public var escapesTerminals = true
  /// Descriptors that the program may have open at a time. The process has a limit of its own, which all its programs share.
  public var descriptorCountMax = 256

  public init() {}
}

/// A program that cannot be given what its configuration names.
public struct WASISetupError: Error, Hashable, Sendable, CustomStringConvertible {
  public let description: String
}

/// The program ended itself with a status: what `proc_exit` throws through the guest.
public struct WASIExit: Error, Hashable, Sendable, CustomStringConvertible {
  public let status: UInt32
  public var description: String { "the program exited with status \(status)" }
}
