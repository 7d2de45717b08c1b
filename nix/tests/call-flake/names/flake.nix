# Outputs with the names of attributes that Nix adds to a flake.
{
  outputs =
    { self, ... }@args:
    {
      rev = "an output";
      inputs = "an output";
      outputs = "an output";
      sourceInfo = "an output";
      outPath = "an output";
      extra = "an output";
      passed = builtins.attrNames args;
      same = args.self.narHash == self.narHash;
    };
}
