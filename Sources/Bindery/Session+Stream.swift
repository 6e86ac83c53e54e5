import Foundation

/// What a generation gives, in order: pieces of text, then the result.
public enum GenerationEvent: Sendable {
  case text(String)
  case finished(GenerationResult)
}

extension Session {
  /// Generates on a thread of its own and gives the text as it comes. Ending the iteration, or the task that iterates, cancels
  /// the generation.
  public func stream(_ request: GenerationRequest) -> AsyncThrowingStream<GenerationEvent, any Error> {
    AsyncThrowingStream { continuation in
      continuation.onTermination = { termination in
        if case .cancelled = termination { self.cancel() }
      }
      let thread = Thread {
        do {
          let result = try self.generate(request) { continuation.yield(.text($0)) }
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
