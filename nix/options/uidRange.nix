{ types, nullable, ... }:
{
  min = nullable types.ints.unsigned 40000 ''
    The lowest UID that an environment may get. NixOS, nixbld and systemd
    themselves use no UID from 40000 to 59999. `null` for 1002.
  '';
  max = nullable types.ints.unsigned 59999 ''
    The highest UID that an environment may get. A UID is never used again.
    `null` for 29999.
  '';
}
