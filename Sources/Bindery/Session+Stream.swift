import Foundation

/// What a generation gives, in order: pieces of text, then the result.
public enum GenerationEvent: Sendable {
  case text(String)
  case finished(GenerationResult)
}

extension Session {
  /// Generates on a thread of its own and gives the text as it comes. Ending the iteration, or the task that iterates, cancels
  /// this generation, and no other.
  public func stream(_ request: GenerationRequest) -> AsyncThrowingStream<GenerationEvent, any Error> {
    AsyncThrowingStream { continuation in
      let cancellation = Cancellation()
      continuation.onTermination = { termination in
        if case .cancelled = termination { cancellation.cancel() }
      }
      let thread = Thread {
        do {
          let result = try self.generate(request, cancellation: cancellation) { continuation.yield(.text($0)) }
          continuation.yield(.finished(result))
          continuation.finish()
        } catch { continuation.finish(throwing: error) }
      }
      thread.name = "bindery generation"
      thread.stackSize = 4 << 20
      thread.start()
    }
  }
}
