# Completion of hostenv-provider in fish:
#   hostenv-provider completion fish | source

function __hostenv_provider_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    $words[1] __complete $words[2..-1] "$current" 2>/dev/null
end
complete -c hostenv-provider -f -a '(__hostenv_provider_complete)'
