/// What a command program is given: nothing that is not named here.
public struct WASIConfiguration: Sendable {
  /// Where a standard stream leads.
  public enum Stream: Hashable, Sendable {
    /// The host's own.
    case inherited
    /// Nowhere: reads end at once, writes vanish.
    case null
    /// A descriptor of the caller, duplicated.
    case descriptor(CInt)
  }

  /// A folder of the host that the program sees under a name of its own.
  public struct Preopen: Hashable, Sendable {
    public enum Access: Hashable, Sendable { case readOnly, readWrite }
    public var guestPath: String
    public var hostPath: String
    public var access: Access

    public init(guestPath: String, hostPath: String, access: Access = .readWrite) {
      self.guestPath = guestPath
      self.hostPath = hostPath
      self.access = access
    }
  }

  /// The first is the program's name.
  public var arguments: [String] = []
  public var environment: [(name: String, value: String)] = []
  public var preopens: [Preopen] = []
  public var standardInput = Stream.inherited
  public var standardOutput = Stream.inherited
  public var standardError = Stream.inherited
  /// Descriptors that the program may have open at a time.
  public var descriptorCountMax = 1024

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
