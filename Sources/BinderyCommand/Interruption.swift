import Dispatch
import Foundation
import Synchronization

/// Ctrl-C (and SIGTERM) as an event instead of the end of the process: the handler runs once, on a thread of its own. A second
/// signal ends the process at once, with status 130.
final class Interruption {
  private final class Flag: Sendable {
    let isSet = Atomic<Bool>(false)
  }

  private let sources: [any DispatchSourceSignal]
  private let flag = Flag()

  var isInterrupted: Bool { flag.isSet.load(ordering: .acquiring) }

  init(_ handler: @escaping @Sendable () -> Void) {
    sources = [SIGINT, SIGTERM].map { number in
      signal(number, SIG_IGN)
      return DispatchSource.makeSignalSource(signal: number, queue: .global())
    }
    for source in sources {
      source.setEventHandler { [flag] in
        if flag.isSet.exchange(true, ordering: .acquiringAndReleasing) { exit(130) }
        handler()
      }
      source.resume()
    }
  }

  /// Gives the signals back their usual effect.
  func end() {
    for source in sources { source.cancel() }
    for number in [SIGINT, SIGTERM] { signal(number, SIG_DFL) }
  }
}
