# Limits of environments. The plan's nodes.<node> declares the slices, and puts each
# environment's user manager into one. This module puts the sessions of the user
# there too, and checks that systemd applies the limits: systemd only logs a limit
# that it cannot read, and NixOS accepts almost any value.
#
# Without it systemd puts a session below user-<UID>.slice, outside of the project's
# limits, and a program that sudo starts stays in the slice of its caller. logind has
# no setting for another slice. So PAM moves the process for sshd and sudo, which
# customers and deploys use: as root, before a program of the user runs, and after
# pam_systemd, so that the session has its XDG_RUNTIME_DIR and is in logind's list.
{ config, lib, pkgs, ... }:
let
  inherit (lib) concatLists concatStrings filterAttrs hasPrefix mapAttrs mapAttrsToList;
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
      message = "systemd.slices.${slice}.sliceConfig.${name} is ${show value}, which systemd does not accept, unlike \"${example}\": correct provider.limits and run `mage plan`, if the value is in generated/plan.json";
    };

  ours = lib.attrNames (filterAttrs (name: _: hasPrefix "user-" name) config.systemd.slices);

  # The slice of each environment's user manager, null where there is none.
  sliceOf = mapAttrs (_: e: (config.systemd.services."user@${toString e.uid}" or { }).serviceConfig.Slice or null) environments;

  time = e: 2 * lib.max 3600 e.activationTimeout + 600;

  enterSlice = pkgs.writeShellScript "hostenv-enter-slice" (import ../lib/fill.nix ./hostenv-enter-slice.sh {
    path = lib.makeBinPath [ pkgs.coreutils config.systemd.package ];
  });

  # A session that cannot be put into its slice is refused.
  pam = service: {
    rules.session.hostenv-slice = {
      order = config.security.pam.services.${service}.rules.session.systemd.order + 10;
      control = "required";
      modulePath = "${config.security.pam.package}/lib/security/pam_exec.so";
      args = [ "quiet" "seteuid" "type=open_session" "${enterSlice}" ];
    };
  };
in
{
  assertions =
    # Without environments the slices are not from the plan.
    concatLists (map
      (slice: [
        (limit slice "CPUQuota" "[0-9]+(\\.[0-9]+)?%" "200%")
        (limit slice "MemoryMax" "[0-9]+(\\.[0-9]+)?[KMGTPE]?|[0-9]+(\\.[0-9]+)?%|infinity" "12G")
      ])
      (if environments == { } then [ ] else ours))
    ++ mapAttrsToList
      (user: e: {
        assertion = sliceOf.${user} != null;
        message = "systemd.services.\"user@${toString e.uid}\".serviceConfig.Slice is not set, and ${user} would run without limits: run `mage plan`, which writes it to generated/plan.json";
      })
      environments
    ++ [
      {
        assertion = environments == { } || config.services.openssh.settings.UsePAM != false;
        message = "services.openssh.settings.UsePAM is false, and ssh sessions of environments would run without limits: remove it from the configuration of ${config.hostenv.nodeName}";
      }
    ];

  # The slice of each user, one a line, for hostenv-enter-slice.sh, and how long an
  # activation may exist: its own limit, and that of the way back, with restored data.
  environment.etc."hostenv/slices" = lib.mkIf (environments != { }) {
    text = concatStrings (mapAttrsToList (user: slice: "${user} ${slice} ${toString (time environments.${user})}\n") (filterAttrs (_: slice: slice != null) sliceOf));
  };

  security.pam.services = lib.mkIf (environments != { }) (lib.genAttrs [ "sshd" "sudo" ] pam);
}
