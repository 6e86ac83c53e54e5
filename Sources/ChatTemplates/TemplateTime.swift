/// A moment as `strftime_now` prints it: given by the host, since a template has no clock of its own.
public struct TemplateTime: Hashable, Sendable {
  /// Seconds since 1970-01-01T00:00:00Z.
  public let unixSeconds: Int
  /// Seconds that local time is ahead of UTC.
  public let utcOffsetSeconds: Int

  public init(unixSeconds: Int, utcOffsetSeconds: Int = 0) {
    // Years of at most six digits: beyond, no calendar says anything.
    self.unixSeconds = min(max(unixSeconds, -30_000_000_000_000), 30_000_000_000_000)
    self.utcOffsetSeconds = min(max(utcOffsetSeconds, -86_400), 86_400)
  }

  private static let months = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
  ]
  private static let weekdays = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]

  /// The fields of the local date and time in the proleptic Gregorian calendar.
  private struct Fields {
    let year, month, day, hour, minute, second: Int
    /// From 0, Sunday, and from 0, the first of January.
    let weekday, dayOfYear: Int

    init(_ localSeconds: Int) {
      let days = Int((Double(localSeconds) / 86_400).rounded(.down))
      let rest = localSeconds - days * 86_400
      (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60)
      weekday = ((days + 4) % 7 + 7) % 7
      // Years that begin in March make the leap day the last: Howard Hinnant, "chrono-compatible low-level date algorithms".
      let shifted = days + 719_468
      let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
      let dayOfEra = shifted - era * 146_097
      let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
      let dayFromMarch = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
      let monthFromMarch = (5 * dayFromMarch + 2) / 153
      day = dayFromMarch - (153 * monthFromMarch + 2) / 5 + 1
      month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
      year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
      let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
      dayOfYear = month > 2 ? dayFromMarch + 59 + (isLeap ? 1 : 0) : dayFromMarch - 306
    }

    /// Week of the ISO 8601 year, and that year.
    var isoWeek: (year: Int, week: Int) {
      let weekdayFromMonday = (weekday + 6) % 7
      let week = (dayOfYear - weekdayFromMonday + 10) / 7
      func weekCount(_ year: Int) -> Int {
        let first = Fields.weekday(ofFirstOf: year)
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        return first == 4 || (first == 3 && isLeap) ? 53 : 52
      }
      if week < 1 { return (year - 1, weekCount(year - 1)) }
      return week > weekCount(year) ? (year + 1, 1) : (year, week)
    }

    private static func weekday(ofFirstOf year: Int) -> Int {
      let before = year - 1
      let days = 365 * before + before / 4 - before / 100 + before / 400
      return ((days + 1) % 7 + 7) % 7
    }
  }

  /// C's `strftime` in its own locale, for the directives that it has there. A directive belongs to whoever wrote it.
  func formatted(_ format: TemplateString) -> TemplateString {
    let fields = Fields(unixSeconds + utcOffsetSeconds)
    var isDirective = false
    var removesPadding = false
    var result = format.mappingScalars { scalar in
      guard isDirective else {
        isDirective = scalar == "%"
        removesPadding = false
        return isDirective ? "" : String(Character(scalar))
      }
      if scalar == "-", !removesPadding {
        removesPadding = true
        return ""
      }
      isDirective = false
      guard let text = text(of: scalar, fields) else { return (removesPadding ? "%-" : "%") + String(Character(scalar)) }
      guard removesPadding else { return text }
      let trimmed = text.drop { $0 == "0" || $0 == " " }
      return trimmed.isEmpty ? "0" : String(trimmed)
    }
    if isDirective { result.append(removesPadding ? "%-" : "%", isTemplate: false) }
    return result
  }

  private func text(of directive: Unicode.Scalar, _ f: Fields) -> String? {
    func padded(_ number: Int, _ width: Int = 2, _ fill: Character = "0") -> String {
      let digits = String(number)
      return String(repeating: fill, count: max(0, width - digits.count)) + digits
    }
    func all(_ directives: String) -> String {
      directives.unicodeScalars.map { $0.properties.isAlphabetic ? text(of: $0, f) ?? "" : String(Character($0)) }.joined()
    }
    let offset = abs(utcOffsetSeconds)
    switch directive {
    case "Y": return padded(f.year, 1)
    case "C": return padded(f.year / 100)
    case "y": return padded((f.year % 100 + 100) % 100)
    case "m": return padded(f.month)
    case "B": return Self.months[f.month - 1]
    case "b", "h": return String(Self.months[f.month - 1].prefix(3))
    case "d": return padded(f.day)
    case "e": return padded(f.day, 2, " ")
    case "j": return padded(f.dayOfYear + 1, 3)
    case "A": return Self.weekdays[f.weekday]
    case "a": return String(Self.weekdays[f.weekday].prefix(3))
    case "w": return String(f.weekday)
    case "u": return String(f.weekday == 0 ? 7 : f.weekday)
    case "U": return padded((f.dayOfYear + 7 - f.weekday) / 7)
    case "W": return padded((f.dayOfYear + 7 - (f.weekday + 6) % 7) / 7)
    case "V": return padded(f.isoWeek.week)
    case "G": return padded(f.isoWeek.year, 1)
    case "g": return padded((f.isoWeek.year % 100 + 100) % 100)
    case "H": return padded(f.hour)
    case "k": return padded(f.hour, 2, " ")
    case "I": return padded((f.hour + 11) % 12 + 1)
    case "l": return padded((f.hour + 11) % 12 + 1, 2, " ")
    case "M": return padded(f.minute)
    case "S": return padded(f.second)
    case "f": return "000000"
    case "p": return f.hour < 12 ? "AM" : "PM"
    case "P": return f.hour < 12 ? "am" : "pm"
    case "s": return String(unixSeconds)
    case "z", "Z": return directive == "Z" && offset == 0 ? "UTC" : (utcOffsetSeconds < 0 ? "-" : "+") + padded(offset / 3600) + padded(offset / 60 % 60)
    case "F": return all("Y-m-d")
    case "D", "x": return all("m/d/y")
    case "T", "X": return all("H:M:S")
    case "R": return all("H:M")
    case "r": return all("I:M:S p")
    case "c": return all("a b e H:M:S Y")
    case "n": return "\n"
    case "t": return "\t"
    case "%": return "%"
    default: return nil
    }
  }
}
