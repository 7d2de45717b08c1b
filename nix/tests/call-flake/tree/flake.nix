# Relative inputs as newer Nix allows them: nested, and beside each other.
{
  inputs.a.url = "path:./a";
  inputs.raw.url = "path:./c";
  inputs.raw.flake = false;
  outputs =
    {
      self,
      a,
      raw,
    }:
    {
      inherit (a) paths;
      raw = builtins.readFile "${raw}/word.txt";
    };
}
