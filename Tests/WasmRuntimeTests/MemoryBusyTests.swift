import Foundation
import Synchronization
import Testing
import VirtualMemory
import WasmRuntime
import WebAssembly
import WebAssemblyText

@Suite("Memories in use")
struct MemoryBusyTests {
  private static let text = """
    (module (import "host" "memory" (memory $m i64 virtual 4 4))
      ;; Loads from every page, round after round; what is not mapped traps.
      (func (export "run") (param $rounds i64) (result i64) (local $sum i64)
        (loop $next
          (local.set $sum (i64.add (local.get $sum) (i64.load $m (i64.const 0))))
          (local.set $sum (i64.add (local.get $sum) (i64.load $m (i64.const 65536))))
          (br_if $next (i64.ne (local.tee $rounds (i64.sub (local.get $rounds) (i64.const 1))) (i64.const 0))))
        (local.get $sum)))
    """

  private func guest(_ memory: Memory) throws -> Function {
    let engine = Engine()
    let store = Store(engine: engine)
    var imports = Imports()
    imports.define(module: "host", name: "memory", .memory(memory))
    let module = try CompiledModule(engine: engine, bytes: WebAssemblyText.binary(of: Array(Self.text.utf8)))
    return try #require(try Instance(store: store, module: module, imports: imports).function("run"))
  }

  @Test("a change of one memory does not keep the guests of another from running", .timeLimit(.minutes(1)))
  func otherMemories() throws {
    let (changed, other) = (GuestRun(), GuestRun())
    changed.beginChange()
    other.begin()
    other.end()
    changed.endChange()
    changed.begin()
    changed.end()
  }

  @Test("a host thread that changes pages while a guest comes and goes is told to wait or has its turn; nothing crashes")
  func turns() throws {
    let memory = try Memories.virtual(4, 4)
    #expect(try memory.map(address: 0, byteCount: 2 * P, protection: .readWrite))
    nonisolated(unsafe) let run = try guest(memory)
    let isFinished = Atomic<Bool>(false)
    nonisolated(unsafe) var faults: Set<MemoryFault> = []
    nonisolated(unsafe) var runCount = 0
    let (begun, ended) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
    Thread.detachNewThread {
      // Many short runs, so that their beginnings meet the changes.
      repeat {
        do { _ = try unsafe run(.i64(UInt64(3))) } catch WasmError.trap(let trap) {
          if case .memory(let fault) = trap.kind { unsafe faults.insert(fault) } else { unsafe faults.insert(.lost) }
        } catch { unsafe faults.insert(.lost) }
        unsafe runCount += 1
        if unsafe runCount == 1 { begun.signal() }
      } while !isFinished.load(ordering: .acquiring)
      ended.signal()
    }
    begun.wait()
    var (doneCount, busyCount) = (0, 0)
    func attempt(_ change: () throws(MemoryAccessError) -> Void) {
      do throws(MemoryAccessError) {
        try change()
        doneCount += 1
      } catch {
        #expect(error.fault == .busy || error.fault == .alreadyMapped || error.fault == .unmapped)
        if error.fault == .busy { busyCount += 1 }
      }
    }
    for _ in 0..<5000 {
      attempt { () throws(MemoryAccessError) in try memory.unmap(address: P, byteCount: P) }
      attempt { () throws(MemoryAccessError) in _ = try memory.map(address: P, byteCount: P, protection: .readWrite) }
      attempt { () throws(MemoryAccessError) in try memory.protect(address: 0, byteCount: P, protection: .none) }
      attempt { () throws(MemoryAccessError) in try memory.protect(address: 0, byteCount: P, protection: .read) }
    }
    isFinished.store(true, ordering: .releasing)
    ended.wait()
    #expect(unsafe faults.isSubset(of: [.unmapped, .protected]))
    #expect(doneCount + busyCount > 0)
    // At rest the memory is the host's again.
    try memory.unmap(address: 0, byteCount: 4 * P)
    #expect(memory.mappedByteCount == 0)
  }

  @Test("a memory is free again after a trap, and after a run that a host function's error ended")
  func freeAfterTraps() throws {
    let memory = try Memories.virtual(4, 4)
    nonisolated(unsafe) let run = try guest(memory)
    #expect(throws: WasmError.self) { try unsafe run(.i64(UInt64(1))) }
    let outcome = Mutex<MemoryFault?>(nil)
    let done = DispatchSemaphore(value: 0)
    Thread.detachNewThread {
      do throws(MemoryAccessError) { _ = try memory.map(address: 0, byteCount: P, protection: .read) } catch {
        outcome.withLock { $0 = error.fault }
      }
      done.signal()
    }
    done.wait()
    #expect(outcome.withLock { $0 } == nil)
  }
}
