import Bindery
import Foundation

/// Runs library code and turns its error into the sentence that the user sees.
func failing<Result>(_ body: () throws(BinderyError) -> Result) throws(CommandFailure) -> Result {
  do { return try body() } catch { throw CommandFailure(error) }
}

extension CommandFailure {
  init(_ error: BinderyError) {
    let status: Int32 =
      switch error.kind {
      case .timeLimit: 124
      case .cancelled: 130
      default: 1
      }
    self.init(error.message, status: status)
  }
}

/// The shortest useful text of any error.
func reason(_ error: any Error) -> String {
  let error = error as NSError
  if let underlying = error.userInfo[NSUnderlyingErrorKey] as? NSError, underlying.domain == NSPOSIXErrorDomain {
    return underlying.localizedDescription
  }
  return error.localizedDescription
}
