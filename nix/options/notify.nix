{ mkOption, types, ... }:
mkOption {
  type = types.listOf types.str;
  default = [ ];
  example = [ "./notify" "ops@hosting.example" ];
  description = ''
    A program, and its arguments, that `mage deploy` runs on the deploying
    machine when a deploy begins, when the first profile fails, and when it
    ends. A relative path is one in the provider's repository. Its standard
    input has the events so far, as `mage deploy -json` prints them. The plan
    holds this option, so no argument may be a secret.
  '';
}
