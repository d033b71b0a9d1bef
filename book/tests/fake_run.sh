#!/bin/sh
# A run that measures nothing, for tests of what surrounds one: `fake_run.sh readiness --book DIR`.
# FAKE_RUN says how it goes: `whole`, in steps that can be watched; `stuck`, in the middle of
# one; `stubborn`, stuck and ignoring signals; `failing`; `dying`, without a word.
experiment=$1 book=$3
if [ "$FAKE_RUN" = stubborn ]; then
    trap '' TERM INT
else
    # As a real run, it ends with its input. (A process in the background has none of its own.)
    exec 3<&0
    (cat <&3; kill -KILL 0) >/dev/null 2>&1 &
fi
say() { printf '%s\n' "$1"; }
drawing() {
    for class in wide narrow; do
        printf '<svg class=\\"%s\\" viewBox=\\"0 0 720 380\\" role=\\"img\\"><title>rehearsed</title>' $class
        for n in $(seq 0 "$1"); do printf '<path class=\\"series-%d\\" d=\\"M40 %dH680\\"/>' $((n + 1)) "$n"; done
        printf '</svg>'
    done
}
say "{\"event\": \"begin\", \"experiment\": \"$experiment\", \"steps\": 4, \"limit_seconds\": 60}"
for step in 0 1 2 3; do
    say "{\"event\": \"step\", \"done\": $step, \"of\": 4, \"what\": \"step $step\"}"
    sleep 0.15
    case $FAKE_RUN$step in
    stuck2 | stubborn2) while :; do sleep 1000; done ;;
    failing2)
        say '{"event": "failed", "why": "this was to fail"}'
        exit
        ;;
    dying2) exit 1 ;;
    esac
    for part in readiness readiness-all; do
        say "{\"event\": \"chart\", \"name\": \"$part\", \"svg\": \"$(drawing $step)\"}"
    done
done
for part in readiness readiness-one readiness-all; do
    say "{\"event\": \"table\", \"name\": \"$part\", \"html\": \"<table><tr><td>rehearsed</td></tr></table>\"}"
done
# The result is the one that the book has recorded: something to store, and to see again.
mkdir -p "$book/../target/lab"
cp "$book/results/$experiment.json" "$book/../target/lab/"
say "{\"event\": \"done\", \"result\": $(tr -d '\n' <"$book/results/$experiment.json")}"
