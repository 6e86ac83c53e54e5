extension Store {
  /// A store whose guests work for those of `parent`: same engine, limits and budget; what stops the parent (a cancellation, a deadline)
  /// stops this store too, whenever it was set. Fuel is the caller's business, see `takeFuel`.
  public convenience init(following parent: Store) {
    self.init(engine: parent.engine, limits: parent.limits, budget: parent.budget)
    parent.context.addFollower(context)
  }

  /// Takes fuel for work that the host does for a guest, where the engine's configuration has `consumesFuel`.
  /// - Throws: `fuelExhausted` if there is less; then none is left.
  public func takeFuel(_ count: UInt64) throws(Trap) {
    guard engine.configuration.consumesFuel else { return }
    let available = max(0, fuel)
    let taken = min(Int64(clamping: count), available)
    fuel = available - taken
    fuelTakenByHost += taken
    if count > UInt64(taken) { throw Trap(.fuelExhausted) }
  }
}
