import CInterpreter
import Synchronization
import VirtualMemory
import WebAssembly

// What the interpreter tests on every access, and what happens when the test fails.
extension Memory {
  /// Registers a view: fills it now and refreshes it whenever the size or a page state changes, until `unregister`.
  /// The view must not move meanwhile, and its owner keeps this memory alive.
  /// - Parameter run: says whether the guest that uses the view is running; nil if nothing does.
  package func register(_ view: UnsafeMutablePointer<bindery_memory_view>, run: GuestRun? = nil) {
    acquire()
    defer { release() }
    var flags: UInt32 = 0
    if hasPageStates { flags |= UInt32(BINDERY_MEMORY_VIEW_HAS_PAGE_STATES) }
    if type.isShared { flags |= UInt32(BINDERY_MEMORY_VIEW_SHARED) }
    if type.addressType == .i64 { flags |= UInt32(BINDERY_MEMORY_VIEW_64) }
    // SAFETY: the caller owns the view and gives it to nobody else meanwhile.
    unsafe view.initialize(to: bindery_memory_view())
    unsafe view.pointee.base = unsafe base.assumingMemoryBound(to: UInt8.self)
    unsafe view.pointee.memory = unsafe Unmanaged.passUnretained(self).toOpaque()
    unsafe view.pointee.slow_path = memorySlowPath
    unsafe view.pointee.page_log2 = UInt32(pageByteCountLog2)
    unsafe view.pointee.flags = flags
    views.append(unsafe RegisteredView(pointer: view, run: run))
    unsafe refresh(view, losing: nil)
  }

  /// Ends what `register` began. The view is not touched again.
  package func unregister(_ view: UnsafeMutablePointer<bindery_memory_view>) {
    acquire()
    defer { release() }
    views.removeAll { unsafe $0.pointer == view }
  }

  /// Brings every view up to date, under the lock. `lost` are pages that allow less than before, so windows over them close.
  ///
  /// The instance of a view may run on another thread meanwhile: what it reads must be right whichever of the stores below it
  /// sees. So only the limits change here, to zero or (growing) upwards; where a window starts is changed by its own thread.
  func refreshViews(losing lost: Range<UInt64>?) {
    for view in views { unsafe refresh(view.pointer, losing: lost) }
  }

  private func refresh(_ view: UnsafeMutablePointer<bindery_memory_view>, losing lost: Range<UInt64>?) {
    let byteCount = size.load(ordering: .relaxed)
    // SAFETY: a registered view is alive.
    unsafe bindery_memory_view_set_byte_count(view, byteCount)
    guard hasPageStates else {
      unsafe bindery_memory_view_set_read_length(view, byteCount)
      unsafe bindery_memory_view_set_write_length(view, byteCount)
      return
    }
    guard let lost else { return }
    let bytes = (lost.lowerBound << pageByteCountLog2)..<(lost.upperBound << pageByteCountLog2)
    if unsafe view.pointee.readWindow.overlaps(bytes) { unsafe bindery_memory_view_set_read_length(view, 0) }
    if unsafe view.pointee.writeWindow.overlaps(bytes) { unsafe bindery_memory_view_set_write_length(view, 0) }
  }

  /// Decides an access that missed the window of a view, and moves the window.
  fileprivate func resolve(
    _ view: UnsafeMutablePointer<bindery_memory_view>, address: UInt64, byteCount: UInt64, isWrite: Bool
  ) -> Int32 {
    acquire()
    defer { release() }
    if let fault = fault(address: address, byteCount: byteCount, isWrite: isWrite) { return fault.rawValue }
    guard byteCount > 0 else { return 0 }
    guard hasPageStates else {
      unsafe refresh(view, losing: nil)
      return 0
    }
    let pages = extents.window(around: address >> pageByteCountLog2, allowing: isWrite ? .readWrite : .read)
    let window = (pages.lowerBound << pageByteCountLog2)..<(pages.upperBound << pageByteCountLog2)
    // SAFETY: the view is the one that the interpreter is running with, on this thread.
    let length = window.upperBound - window.lowerBound
    if isWrite {
      unsafe view.pointee.write_start = window.lowerBound
      unsafe bindery_memory_view_set_write_length(view, length)
    } else {
      unsafe view.pointee.read_start = window.lowerBound
      unsafe bindery_memory_view_set_read_length(view, length)
    }
    return 0
  }

  /// Why an access is refused, nil if it is allowed; under the lock. The whole range must be in bounds, every page mapped, and
  /// its protection allow it; the lowest refusing page decides. Zero bytes need only be in bounds.
  func fault(address: UInt64, byteCount: UInt64, isWrite: Bool) -> MemoryFault? {
    let (end, overflow) = address.addingReportingOverflow(byteCount)
    guard !overflow, end <= size.load(ordering: .relaxed) else { return .outOfBounds }
    guard hasPageStates, byteCount > 0 else { return nil }
    let pages = (address >> pageByteCountLog2)..<(((end - 1) >> pageByteCountLog2) + 1)
    return extents.firstFault(in: pages) { state in
      guard case .mapped(_, let protection) = state else { return .unmapped }
      return protection >= (isWrite ? .readWrite : .read) ? nil : .protected
    }
  }
}

/// The function behind `bindery_memory_view.slow_path`.
private let memorySlowPath:
  @convention(c) (UnsafeMutablePointer<bindery_memory_view>?, UInt64, UInt64, Int32) -> Int32 = {
    view, address, byteCount, isWrite in
    // SAFETY: the interpreter passes the registered view it is running with, whose instance retains the memory.
    guard let view = unsafe view, let owner = unsafe view.pointee.memory else {
      preconditionFailure("a slow path belongs to a registered view")
    }
    return unsafe Unmanaged<Memory>.fromOpaque(owner)._withUnsafeGuaranteedRef { memory in
      unsafe memory.resolve(view, address: address, byteCount: byteCount, isWrite: isWrite != 0)
    }
  }

extension bindery_memory_view {
  // SAFETY (all): plain numbers of a struct that is unsafe to use only for its pointers.

  /// Addresses where the interpreter reads without asking.
  package var readWindow: Range<UInt64> { unsafe read_start..<(read_start + read_limit.0) }
  package var writeWindow: Range<UInt64> { unsafe write_start..<(write_start + write_limit.0) }
}
