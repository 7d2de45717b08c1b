#!/bin/sh
# shellcheck disable=SC2093
# Takes the place of nix for deploy-rs, in the folder of one activation. The profile is
# built and on the node: deploy-rs has nothing to evaluate, build or copy, and so gets
# the answers of Nix from files. What it does not usually ask goes to Nix.
for argument do
	case $argument in
	eval)
		case $* in
		*' --expr builtins.getFlake') exit 0 ;; # whether Nix has flakes
		*' path:./flake#deploy '*) exec cat flake/deploy.json ;;
		esac
		break
		;;
	# The form of the answer before Nix 2.32, which each deploy-rs reads.
	show-derivation | derivation) exec cat derivation.json ;;
	path-info) exec cat derivation ;;
	build | copy) exit 0 ;;
	esac
done
PATH=$HOSTENV_PATH
export PATH
exec nix "$@"
