# Limits of environments. The slices are in the plan's nodes.<node>; here it is
# held that systemd will apply them: a limit that it cannot read it merely logs,
# and NixOS takes nearly anything for one.
{ config, lib, ... }:
let
  inherit (lib) concatLists filterAttrs hasPrefix mapAttrsToList;
  inherit (config.hostenv) environments;

  show = value: if lib.isString value then "\"${value}\"" else if lib.isInt value then toString value else "a ${builtins.typeOf value}";

  limit = slice: name: pattern: example:
    let
      value = config.systemd.slices.${slice}.sliceConfig.${name} or null;
      text = if lib.isInt value then toString value else value;
      readable = value == null || lib.isString text && builtins.match pattern text != null;
    in
    {
      assertion = readable;
      message = "systemd.slices.${slice}.sliceConfig.${name} is ${show value}, which systemd does not take for a limit such as \"${example}\": correct provider.limits and run `mage plan`, if it stands in generated/plan.json";
    };

  ours = lib.attrNames (filterAttrs (name: _: hasPrefix "user-" name) config.systemd.slices);
in
{
  assertions =
    # Without environments the slices are none of the plan's.
    concatLists (map
      (slice: [
        (limit slice "CPUQuota" "[0-9]+(\\.[0-9]+)?%" "200%")
        (limit slice "MemoryMax" "[0-9]+(\\.[0-9]+)?[KMGTPE]?|[0-9]+(\\.[0-9]+)?%|infinity" "12G")
      ])
      (if environments == { } then [ ] else ours))
    ++ mapAttrsToList
      (user: e: {
        assertion = (config.systemd.services."user@${toString e.uid}" or { }).serviceConfig.Slice or null != null;
        message = "systemd.services.\"user@${toString e.uid}\".serviceConfig.Slice is not set, so that nothing limits ${user}: run `mage plan`, for generated/plan.json should have it";
      })
      environments;
}
