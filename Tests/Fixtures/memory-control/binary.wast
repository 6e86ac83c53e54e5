;; Memory types: flag 0x20 says that attributes follow the limits. Instructions: 0xFC 0x12 and 0xFC 0x20 to 0x23.

;; virtual, minimum 1, maximum 2
(module binary "\00asm" "\01\00\00\00" "\05\05\01" "\21\01\02\04")
;; 64-bit virtual
(module binary "\00asm" "\01\00\00\00" "\05\05\01" "\25\01\02\04")
;; noaccess 1, readonly 2, without maximum
(module binary "\00asm" "\01\00\00\00" "\05\06\01" "\20\01\03\01\02")
;; page size 1 and noaccess 16
(module binary "\00asm" "\01\00\00\00" "\05\06\01" "\28\01\00\01\10")
;; mappable 2
(module binary "\00asm" "\01\00\00\00" "\05\06\01" "\21\02\04\08\02")
;; imported
(assert_unlinkable
  (module binary "\00asm" "\01\00\00\00" "\02\0a\01" "\01m\01x\02" "\21\00\01\04")
  "unknown import")

(assert_malformed (module binary "\00asm" "\01\00\00\00" "\05\04\01" "\20\01\00") "malformed memory attributes")
(assert_malformed (module binary "\00asm" "\01\00\00\00" "\05\05\01" "\21\01\02\10") "malformed memory attributes")
(assert_malformed (module binary "\00asm" "\01\00\00\00" "\05\05\01" "\21\01\02\84") "malformed memory attributes")
(assert_malformed (module binary "\00asm" "\01\00\00\00" "\05\03\01" "\10\01") "malformed limits flags")
(assert_malformed (module binary "\00asm" "\01\00\00\00" "\05\03\01" "\40\01") "malformed limits flags")
(assert_malformed (module binary "\00asm" "\01\00\00\00" "\05\03\01" "\80\01") "malformed limits flags")
;; attributes are of memories, not of tables
(assert_malformed (module binary "\00asm" "\01\00\00\00" "\04\06\01" "\70\21\01\02\04") "malformed limits flags")
;; operands that are missing
(assert_malformed (module binary "\00asm" "\01\00\00\00" "\05\04\01" "\21\01\02") "unexpected end")
(assert_malformed (module binary "\00asm" "\01\00\00\00" "\05\05\01" "\21\01\02\08") "unexpected end")

;; map readwrite, unmap, protect none, discard, try_discard of memory 0
(module binary "\00asm" "\01\00\00\00"
  "\01\04\01\60\00\00" "\03\02\01\00" "\05\05\01\21\01\02\04"
  "\0a\31\01\2f\00"
  "\41\00\41\80\80\04\fc\20\00\02\1a"
  "\41\00\41\80\80\04\fc\22\00\00"
  "\41\00\41\80\80\04\fc\21\00"
  "\41\00\41\00\fc\12\00"
  "\41\00\41\00\fc\23\00\1a"
  "\0b")
;; a protection that is none
(assert_malformed
  (module binary "\00asm" "\01\00\00\00"
    "\01\04\01\60\00\00" "\03\02\01\00" "\05\05\01\21\01\02\04"
    "\0a\0d\01\0b\00" "\41\00\41\00\fc\20\00\03\1a" "\0b")
  "malformed memory protection")
(assert_malformed
  (module binary "\00asm" "\01\00\00\00"
    "\01\04\01\60\00\00" "\03\02\01\00" "\05\05\01\21\01\02\04"
    "\0a\0c\01\0a\00" "\41\00\41\00\fc\22\00\ff" "\0b")
  "malformed memory protection")
(assert_invalid
  (module binary "\00asm" "\01\00\00\00"
    "\01\04\01\60\00\00" "\03\02\01\00" "\05\05\01\21\01\02\04"
    "\0a\0b\01\09\00" "\41\00\41\00\fc\21\01" "\0b")
  "unknown memory")

;; an attribute of value 0 equals its absence: a plain memory with a maximum
(module $zero binary "\00asm" "\01\00\00\00" "\05\07\01" "\21\01\02\03\00\00" "\07\05\01\01m\02\00")
(register "zero" $zero)
(module (import "zero" "m" (memory 1 2)))
