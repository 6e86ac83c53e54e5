import WebAssembly

extension GeneratedFunction {
  /// Something that leaves the stack as it was.
  mutating func statement(_ depth: Int) {
    guard depth > 0, budget > 0 else { return }
    switch module.input.byte() & 31 {
    case 0...6: assign(depth)
    case 7:
      let type = module.input.element(of: GeneratedModule.globalTypes)
      expression(type, depth - 1)
      emit(.globalSet, global(type))
    case 8...12: store(depth)
    case 13:
      expression(.i32, depth - 1)
      emit([0x04, 0x40])
      labels.append([])
      statement(depth - 1)
      if module.input.bool() {
        emit([0x05])
        statement(depth - 1)
      }
      endBlock()
    case 14, 15: loop(depth)
    case 16, 17: switchStatement(depth)
    case 18: callStatement(depth)
    case 19, 20: bulk(depth)
    case 21: tableStatement(depth)
    case 22:
      let type = module.input.element(of: GeneratedModule.globalTypes)
      expression(type, depth - 1)
      emit([0x1A])
    case 23: conditionally(depth) { $0.branch(depth - 1) }
    case 24:
      conditionally(depth) { function in
        for type in function.labels[0] { function.expression(type, depth - 1) }
        function.emit([0x0F])
      }
    case 25: severalValues(depth)
    case 26:
      conditionally(depth) { function in
        let results = function.labels[0]
        if let callee = function.callee(where: { $0.results == results }) { function.call(callee, depth - 1, isTail: true) }
      }
    case 27:
      emit([0x02, 0x40])
      labels.append([])
      statement(depth - 1)
      expression(.i32, depth - 1)
      branchIf([])
      statement(depth - 1)
      endBlock()
    case 28: storeLane(depth)
    case 29:
      statement(depth - 1)
      statement(depth - 1)
    case 30: if module.input.chance(20) { conditionally(depth) { $0.emit([0x00]) } } else { assign(depth) }
    default: assign(depth)
    }
  }

  private mutating func assign(_ depth: Int) {
    let type = module.input.element(of: GeneratedModule.globalTypes)
    expression(type, depth)
    emit(.localSet, local(type))
  }

  private mutating func conditionally(_ depth: Int, _ body: (inout Self) -> Void) {
    expression(.i32, depth - 1)
    emit([0x04, 0x40])
    labels.append([])
    body(&self)
    endBlock()
  }

  /// A branch with what its label takes; behind it the code is dead.
  private mutating func branch(_ depth: Int) {
    let target = module.input.integer(0...labels.count - 1)
    for type in labels[target] { expression(type, depth) }
    emit(.br, UInt64(labels.count - 1 - target))
  }

  /// A loop with a counter of its own.
  private mutating func loop(_ depth: Int) {
    guard loopDepth < Self.loopDepthMax else { return assign(depth) }
    let counter = counterLocal(loopDepth)
    constant(.i32, UInt64(1 + module.input.byte() % 9))
    emit(.localSet, counter)
    emit([0x03, 0x40])
    labels.append([])
    loopDepth += 1
    takeFuel()
    for _ in 0..<(1 + module.input.integer(0...2)) { statement(depth - 1) }
    loopDepth -= 1
    emit(.localGet, counter)
    constant(.i32, 1)
    emit(.i32Sub)
    emit(.localTee, counter)
    emit(.brIf, 0)
    endBlock()
  }

  /// Blocks in blocks and a table of branches to their ends, with or without a value.
  private mutating func switchStatement(_ depth: Int) {
    let carried: [ValueType] = module.input.bool() ? [] : [module.input.element(of: GeneratedModule.globalTypes)]
    let count = 2 + module.input.integer(0...2)
    for _ in 0..<count {
      emit([0x02, carried.isEmpty ? 0x40 : Bytes.type(carried[0])])
      labels.append(carried)
    }
    for type in carried { expression(type, depth - 1) }
    expression(.i32, depth - 1)
    if module.input.bool() {
      constant(.i32, 7)
      emit(.i32And)
    }
    let targets = labels.indices.filter { labels[$0] == carried }.map { UInt64(labels.count - 1 - $0) }
    let entryCount = module.input.integer(0...5)
    emit(.brTable, UInt64(entryCount))
    for _ in 0...entryCount { emit(Bytes.unsigned(module.input.element(of: targets.reversed()))) }
    for _ in 0..<count {
      endBlock()
      for type in carried { emit(.localSet, local(type)) }
      statement(depth - 1)
      for type in carried { expression(type, depth - 1) }
    }
    for _ in carried { emit([0x1A]) }
  }

  private mutating func callStatement(_ depth: Int) {
    guard let callee = callee(where: { _ in true }) else { return }
    call(callee, depth)
    for result in module.functions[callee].results.reversed() {
      if module.input.bool() { emit(.localSet, local(result)) } else { emit([0x1A]) }
    }
  }

  /// A block with parameters and several results, which go into locals.
  private mutating func severalValues(_ depth: Int) {
    let parameters = (0..<module.input.integer(0...2)).map { _ in module.input.element(of: GeneratedModule.globalTypes) }
    let results = (0..<(1 + module.input.integer(0...2))).map { _ in module.input.element(of: GeneratedModule.globalTypes) }
    for type in parameters { expression(type, depth - 1) }
    let block = module.typeIndex(FunctionType(parameters: parameters, results: results))
    emit([0x02] + Bytes.signed(Int64(block)))
    labels.append(results)
    for type in parameters.reversed() { emit(.localSet, local(type)) }
    for type in results { expression(type, depth - 1) }
    expression(.i32, depth - 1)
    branchIf(results)
    endBlock()
    for type in results.reversed() { emit(.localSet, local(type)) }
  }
}
