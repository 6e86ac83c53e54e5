#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// The error codes of WASI preview 1, as functions return them.
struct WASIErrno: RawRepresentable, Error, Hashable {
  let rawValue: UInt16

  static let success = WASIErrno(rawValue: 0)
  static let again = WASIErrno(rawValue: 6)
  static let badDescriptor = WASIErrno(rawValue: 8)
  static let exists = WASIErrno(rawValue: 20)
  static let fault = WASIErrno(rawValue: 21)
  static let tooLarge = WASIErrno(rawValue: 22)
  static let interrupted = WASIErrno(rawValue: 27)
  static let invalid = WASIErrno(rawValue: 28)
  static let inputOutput = WASIErrno(rawValue: 29)
  static let isDirectory = WASIErrno(rawValue: 31)
  static let loop = WASIErrno(rawValue: 32)
  static let tooManyFiles = WASIErrno(rawValue: 33)
  static let nameTooLong = WASIErrno(rawValue: 37)
  static let noEntry = WASIErrno(rawValue: 44)
  static let noMemory = WASIErrno(rawValue: 48)
  static let notImplemented = WASIErrno(rawValue: 52)
  static let notDirectory = WASIErrno(rawValue: 54)
  static let notSocket = WASIErrno(rawValue: 57)
  static let notSupported = WASIErrno(rawValue: 58)
  static let overflow = WASIErrno(rawValue: 61)
  static let notPermitted = WASIErrno(rawValue: 63)
  static let notSeekable = WASIErrno(rawValue: 70)
  static let notCapable = WASIErrno(rawValue: 76)

  init(rawValue: UInt16) { self.rawValue = rawValue }

  /// The code for an error number of the host; `io` for those that WASI does not know.
  init(host errno: CInt) { self = Self.table[errno] ?? .inputOutput }

  /// - Throws: the code, unless the host's error number is 0.
  static func check(_ errno: CInt) throws(WASIErrno) {
    if errno != 0 { throw WASIErrno(host: errno) }
  }

  /// By name of the specification, in its order; what a host does not call by this name is left out.
  private static let table: [CInt: WASIErrno] = {
    let pairs: [(CInt, UInt16)] = [
      (E2BIG, 1), (EACCES, 2), (EADDRINUSE, 3), (EADDRNOTAVAIL, 4), (EAFNOSUPPORT, 5), (EAGAIN, 6), (EALREADY, 7), (EBADF, 8),
      (EBADMSG, 9), (EBUSY, 10), (ECANCELED, 11), (ECHILD, 12), (ECONNABORTED, 13), (ECONNREFUSED, 14), (ECONNRESET, 15),
      (EDEADLK, 16), (EDESTADDRREQ, 17), (EDOM, 18), (EDQUOT, 19), (EEXIST, 20), (EFAULT, 21), (EFBIG, 22), (EHOSTUNREACH, 23),
      (EIDRM, 24), (EILSEQ, 25), (EINPROGRESS, 26), (EINTR, 27), (EINVAL, 28), (EIO, 29), (EISCONN, 30), (EISDIR, 31),
      (ELOOP, 32), (EMFILE, 33), (EMLINK, 34), (EMSGSIZE, 35), (EMULTIHOP, 36), (ENAMETOOLONG, 37), (ENETDOWN, 38),
      (ENETRESET, 39), (ENETUNREACH, 40), (ENFILE, 41), (ENOBUFS, 42), (ENODEV, 43), (ENOENT, 44), (ENOEXEC, 45), (ENOLCK, 46),
      (ENOLINK, 47), (ENOMEM, 48), (ENOMSG, 49), (ENOPROTOOPT, 50), (ENOSPC, 51), (ENOSYS, 52), (ENOTCONN, 53), (ENOTDIR, 54),
      (ENOTEMPTY, 55), (ENOTRECOVERABLE, 56), (ENOTSOCK, 57), (ENOTSUP, 58), (ENOTTY, 59), (ENXIO, 60), (EOVERFLOW, 61),
      (EOWNERDEAD, 62), (EPERM, 63), (EPIPE, 64), (EPROTO, 65), (EPROTONOSUPPORT, 66), (EPROTOTYPE, 67), (ERANGE, 68),
      (EROFS, 69), (ESPIPE, 70), (ESRCH, 71), (ESTALE, 72), (ETIMEDOUT, 73), (ETXTBSY, 74),
      // A path that leads out of its folder: openat2 says so with this number.
      (EXDEV, 63),
    ]
    return Dictionary(pairs.map { ($0, WASIErrno(rawValue: $1)) }, uniquingKeysWith: { first, _ in first })
  }()
}

/// What a descriptor may be used for: the rights of WASI preview 1.
struct WASIRights: OptionSet, Hashable {
  let rawValue: UInt64

  static let dataSync = Self(rawValue: 1 << 0)
  static let read = Self(rawValue: 1 << 1)
  static let seek = Self(rawValue: 1 << 2)
  static let setFlags = Self(rawValue: 1 << 3)
  static let sync = Self(rawValue: 1 << 4)
  static let tell = Self(rawValue: 1 << 5)
  static let write = Self(rawValue: 1 << 6)
  static let advise = Self(rawValue: 1 << 7)
  static let allocate = Self(rawValue: 1 << 8)
  static let createDirectory = Self(rawValue: 1 << 9)
  static let createFile = Self(rawValue: 1 << 10)
  static let linkSource = Self(rawValue: 1 << 11)
  static let linkTarget = Self(rawValue: 1 << 12)
  static let open = Self(rawValue: 1 << 13)
  static let readDirectory = Self(rawValue: 1 << 14)
  static let readLink = Self(rawValue: 1 << 15)
  static let renameSource = Self(rawValue: 1 << 16)
  static let renameTarget = Self(rawValue: 1 << 17)
  static let pathStatus = Self(rawValue: 1 << 18)
  static let pathSetSize = Self(rawValue: 1 << 19)
  static let pathSetTimes = Self(rawValue: 1 << 20)
  static let status = Self(rawValue: 1 << 21)
  static let setSize = Self(rawValue: 1 << 22)
  static let setTimes = Self(rawValue: 1 << 23)
  static let symbolicLink = Self(rawValue: 1 << 24)
  static let removeDirectory = Self(rawValue: 1 << 25)
  static let unlink = Self(rawValue: 1 << 26)
  static let poll = Self(rawValue: 1 << 27)

  static let ofFile: Self = [
    .dataSync, .read, .seek, .setFlags, .sync, .tell, .write, .advise, .allocate, .status, .setSize, .setTimes, .poll,
  ]
  /// Without seek and tell: that is how wasi-libc recognises a terminal.
  static let ofStream: Self = [.read, .write, .setFlags, .sync, .dataSync, .status, .poll]
  static let ofDirectory: Self = [
    .setFlags, .sync, .advise, .createDirectory, .createFile, .linkSource, .linkTarget, .open, .readDirectory, .readLink,
    .renameSource, .renameTarget, .pathStatus, .pathSetSize, .pathSetTimes, .status, .setTimes, .symbolicLink, .removeDirectory,
    .unlink, .poll,
  ]
  /// What changes something.
  static let changes: Self = [
    .write, .allocate, .createDirectory, .createFile, .linkSource, .linkTarget, .renameSource, .renameTarget, .pathSetSize,
    .pathSetTimes, .setSize, .setTimes, .symbolicLink, .removeDirectory, .unlink,
  ]
}
