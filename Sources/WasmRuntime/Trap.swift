import WebAssembly

/// Why a guest was stopped. Descriptions are those of the official suite and of the memory-control note.
public enum TrapKind: Hashable, Sendable, CustomStringConvertible {
  case unreachable
  case integerDivideByZero
  case integerOverflow
  case invalidConversionToInteger
  case memory(MemoryFault)
  /// The address of an atomic access, a wait or a notify is not a multiple of its size.
  case unalignedAtomic
  /// A wait on a memory that is not shared: nobody could end it.
  case expectedSharedMemory
  case outOfBoundsTableAccess
  /// A load, store or copy through a null `memref`.
  case nullMemoryReference
  case undefinedElement
  case uninitializedElement
  case indirectCallTypeMismatch
  case callStackExhausted
  /// Another thread asked for it, through an ``InterruptHandle``.
  case cancelled
  /// The store's deadline passed.
  case deadlineExceeded
  case fuelExhausted
  /// A host function threw: see `Trap.cause`.
  case hostError

  public var description: String {
    switch self {
    case .unreachable: "unreachable"
    case .integerDivideByZero: "integer divide by zero"
    case .integerOverflow: "integer overflow"
    case .invalidConversionToInteger: "invalid conversion to integer"
    case .memory(let fault): fault.description
    case .unalignedAtomic: "unaligned atomic"
    case .expectedSharedMemory: "expected shared memory"
    case .outOfBoundsTableAccess: "out of bounds table access"
    case .nullMemoryReference: "null memory reference"
    case .undefinedElement: "undefined element"
    case .uninitializedElement: "uninitialized element"
    case .indirectCallTypeMismatch: "indirect call type mismatch"
    case .callStackExhausted: "call stack exhausted"
    case .cancelled: "execution cancelled"
    case .deadlineExceeded: "execution deadline exceeded"
    case .fuelExhausted: "all fuel consumed"
    case .hostError: "host function failed"
    }
  }
}

/// A function that was running when a guest was stopped.
public struct StackFrame: Hashable, Sendable, CustomStringConvertible {
  /// The name the module gives itself in its name section, if any.
  public let moduleName: String?
  /// In the index space of its module.
  public let functionIndex: Int
  /// From the name section, or the name it is exported as.
  public let functionName: String?
  /// The position of the instruction in the module's bytes.
  public let codeOffset: Int?

  public var description: String {
    let function = functionName ?? "function \(functionIndex)"
    let module = moduleName.map { "\($0)!" } ?? ""
    return module + function + (codeOffset.map { " at byte 0x" + String($0, radix: 16) } ?? "")
  }
}

/// A guest was stopped: why, and where. A value; nothing was unwound.
public struct Trap: Error, Sendable, CustomStringConvertible {
  public let kind: TrapKind
  /// The kind's description, and details where there are any.
  public let message: String
  /// The innermost function first. Long ones are cut in the middle.
  public let backtrace: [StackFrame]
  /// What a host function threw.
  public let cause: (any Error)?

  public init(_ kind: TrapKind, message: String? = nil, backtrace: [StackFrame] = [], cause: (any Error)? = nil) {
    self.kind = kind
    self.message = message ?? kind.description
    self.backtrace = backtrace
    self.cause = cause
  }

  public var description: String {
    (["trap: \(message)"] + backtrace.map { "  in \($0)" }).joined(separator: "\n")
  }
}

/// Why a module cannot be made, linked or run.
public enum WasmError: Error, Sendable, CustomStringConvertible {
  case malformed(WasmParseError)
  case invalid(ValidationError)
  case link(LinkError)
  case trap(Trap)
  /// A limit of the engine or the store, with a sentence that names it.
  case limit(String)
  /// The arguments of a call do not fit the function's type.
  case argumentMismatch(String)

  public var description: String {
    switch self {
    case .malformed(let error): error.description
    case .invalid(let error): error.description
    case .link(let error): error.description
    case .trap(let trap): trap.description
    case .limit(let sentence): sentence
    case .argumentMismatch(let sentence): sentence
    }
  }
}

/// An import that cannot be satisfied.
public struct LinkError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Code: Hashable, Sendable {
    /// Nothing is defined under this name.
    case unknownImport
    /// What is defined has another kind or type.
    case incompatibleImportType
  }
  public let code: Code
  public let module: String
  public let name: String
  /// What was expected, and what was found.
  public let details: String

  public var description: String {
    switch code {
    case .unknownImport: "unknown import: \(module).\(name), \(details)"
    case .incompatibleImportType: "incompatible import type: \(module).\(name), \(details)"
    }
  }
}
