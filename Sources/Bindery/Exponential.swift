#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// e to the x, in double precision.
func exponential(_ x: Double) -> Double { exp(x) }

/// The natural logarithm, in double precision.
func naturalLogarithm(_ x: Double) -> Double { log(x) }
