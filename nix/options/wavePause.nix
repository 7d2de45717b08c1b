{ mkOption, types, ... }:
mkOption {
  type = types.ints.between 0 86400;
  default = 0;
  example = 300;
  description = "How long a deploy waits between two waves (`provider.waves`), in seconds.";
}
