#!/usr/bin/env bash
# Checks the sealing protocol with Spin: the protocol must hold, and each tempting mistake must be found to break it.
# usage: tests/model/run.sh    (needs spin and cc; about half a minute on two cores)
#
# One line a variant: what it is, states visited, verdict. Fails where a good one fails or a bad one passes.
# To see how one fails, in a folder of its own:
#   spin DEFINITIONS -a tests/model/seal.pml && cc -DSAFETY -o pan pan.c && ./pan -m100000; spin DEFINITIONS -t -p tests/model/seal.pml
set -euo pipefail

model=$(cd "$(dirname "$0")" && pwd)/seal.pml
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export model work

# holds|breaks ; name ; definitions
variants='
holds  ; three sealers, four offsets                           ; -DSEALERS=3 -DN=4
holds  ; three sealers, retention passes                       ; -DSEALERS=3 -DRETENTION
holds  ; junk or an invented segment is planted, four offsets  ; -DN=4 -DRETENTION -DPLANT
holds  ; resumed into a second epoch after a planted object    ; -DE=2 -DRETENTION -DPLANT -DRESUME
holds  ; resumed twice after retention overtook                ; -DE=3 -DRETENTION -DRESUME
holds  ; two sealers see different gaps                        ; -DRETENTION -DVIEWS
holds  ; two sealers see different gaps and resume             ; -DE=2 -DVIEWS -DRESUME
breaks ; the same, keyed by the first row                      ; -DRETENTION -DVIEWS -DKEY_OF_FIRST_ROW
breaks ; the PUT has no condition                              ; -DOVERWRITES=true
breaks ; "exists" means "mine"                                 ; -DMINE=true
breaks ; the offset is committed before the PUT and trusted    ; -DCOMMITS_FIRST=1
breaks ; what is found is adopted without comparing            ; -DPLANT -DBELIEVES=true
breaks ; compared only as far as the batch in memory           ; -DPLANT -DLOOKS_NO_FURTHER=true
breaks ; the epoch opens before the old one has ended          ; -DE=2 -DRETENTION -DRESUME -DOPENS_FIRST=true
breaks ; an abandoned segment may still be continued           ; -DE=2 -DRETENTION -DPLANT -DRESUME -DLEAVES_BRANCH=true
breaks ; (a check of the model: the hard states are reached)   ; -DE=2 -DRETENTION -DPLANT -DRESUME -DWITNESS
'

# check LINE: exit 1 where the verdict is not the wanted one.
check() {
    local want name definitions folder
    IFS=';' read -r want name definitions <<<"$1"
    want=${want// /} name=${name# }
    folder=$(mktemp -d "$work/XXXXXX")
    cd "$folder"
    # shellcheck disable=SC2086
    spin $definitions -a "$model" >out 2>&1 && cc -O1 -w -DSAFETY -DCOLLAPSE -DMEMLIM=2048 -o pan pan.c >>out 2>&1 &&
        ./pan -m200000 >>out 2>&1 || { cat out; echo "$name: could not be checked"; return 1; }
    local errors states verdict=breaks
    errors=$(sed -n 's/.*errors: \([0-9]*\)$/\1/p' out)
    states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' out)
    # A search that was cut short proves nothing; an error must be one of the model's own assertions.
    if [[ $errors == 0 ]]; then verdict=holds; else grep -q 'assertion violated' out || verdict=failed; fi
    if grep -qE 'search was not completed|max search depth too small|out of memory' out; then
        [[ $verdict == breaks ]] || verdict=unfinished
    fi
    printf '%s%10s states  %s' "$name" "$states" "$verdict"
    if [[ $verdict == "$want" ]]; then echo; else echo "  WRONG: it ought to be: $want"; return 1; fi
}
export -f check

sed '/^$/d' <<<"$variants" | tr '\n' '\0' | xargs -0 -P 2 -I{} bash -c 'check "$1"' _ {}
