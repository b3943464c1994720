# The pages say what is so: links and paths lead somewhere, sweep files can be planned, queries run, and options, tables and lists are those
# of the program.
. "$(dirname "$0")/lib.sh"

docs=$source/docs
mapfile -t pages < <(find "$source" -name '*.md' -not -path "$source/build/*" -not -path '*/.*' | sort)
[ ${#pages[@]} -gt 20 ] || fail "only ${#pages[@]} pages found"

# The lines of a page outside of (prose) or inside (blocks LANGUAGE) fenced blocks; a block ends with an empty line.
prose()
{
    awk '/^```/ { inside = !inside; next } !inside' "$1"
}

blocks()
{
    awk -v fence="^\`\`\`$2\$" '!inside && $0 ~ fence { inside = 1; next } /^```/ { if (inside) print ""; inside = 0; next } inside' "$1"
}

# The section of a page under a heading of level two.
section() # PAGE HEADING
{
    awk -v heading="## $2" '/^## / { inside = $0 == heading; next } inside' "$1"
}

# A heading as links name it.
anchors()
{
    prose "$1" | sed -n 's/^##* //p' | tr '[:upper:]' '[:lower:]' | sed 's/[^a-z0-9 _-]//g; s/ /-/g'
}

# ---- links and paths --------------------------------------------------------------------------------------------------------

links=0
for page in "${pages[@]}"; do
    while IFS= read -r link; do
        target=${link%%#*}
        file=$(realpath -m "$(dirname "$page")/${target:-$(basename "$page")}")
        [ -e "$file" ] || fail "${page#"$source"/} links to '$link', which is not there"
        [ "$link" = "$target" ] || anchors "$file" | grep -qxF -- "${link#*#}" || fail "${page#"$source"/} links to '$link': no such heading"
        links=$((links + 1))
    done < <(prose "$page" | grep -o '](\([^)]*\))' | sed 's/^](//; s/)$//' | grep -v '^[a-z]*:')
done
[ $links -gt 60 ] || fail "only $links links found"

# Whatever stands between backticks and begins with a folder of the tree.
paths=0
for page in "${pages[@]}"; do
    while IFS= read -r path; do
        [ -e "$source/$path" ] || fail "${page#"$source"/} names '$path', which is not there"
        paths=$((paths + 1))
    done < <(prose "$page" | grep -o '`[a-z]*/[A-Za-z0-9_./-]*`' | tr -d '`' |
        grep -E '^(compressors|configs|core|datasets|docs|engine|harness|metrics|plots|results|runners|tests|tools)/')
done
[ $paths -gt 60 ] || fail "only $paths paths found"

# ---- sweep files ------------------------------------------------------------------------------------------------------------

plan_blocks() # PAGE LEAST
{
    blocks "$1" yaml | awk -v RS= '{ print > ("sweep-" NR ".yaml") }'
    local sweep n=0
    for sweep in sweep-*.yaml; do
        assert_status 0 plan "$sweep" --threads 1
        n=$((n + 1))
    done
    [ $n -ge "$2" ] || fail "only $n sweep files in $1"
    rm -f sweep-*.yaml
}

plan_blocks "$source/README.md" 1
plan_blocks "$docs/sweep-file.md" 4

# ---- queries ----------------------------------------------------------------------------------------------------------------

write_manifest manifest.json 2 a b
cat >mock.yaml <<'EOF'
runner: mock
axes: { benchmark: { name: videomme, manifest: manifest.json }, frames: [4, 8], compressor: [none, dyntok] }
EOF
assert_status 0 run mock.yaml --store mock.sqlite
blocks "$docs/store.md" sql >queries.sql
[ "$(grep -c ';$' queries.sql)" -ge 8 ] || fail "only $(grep -c ';$' queries.sql) queries in docs/store.md"
sqlite3 -batch -bail mock.sqlite <queries.sql >out 2>err || fail "a query of docs/store.md: $(cat err)"

# Every table and view has a line or a heading, and every status a line.
for name in $(query mock.sqlite "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"); do
    grep -qE "^(\| \`$name\` \||### $name\$)" "$docs/store.md" || fail "docs/store.md lacks $name"
done
statuses=$(query mock.sqlite "SELECT sql FROM sqlite_schema WHERE name = 'answer'" | sed -n "s/.*instr(' \(ok [a-z_ ]*\) '.*/\1/p")
[ "$(wc -w <<<"$statuses")" -ge 9 ] || fail "statuses not found in the schema: $statuses"
for status in $statuses; do
    grep -q "^| \`$status\` |" "$docs/store.md" || fail "docs/store.md lacks status $status"
done

# ---- commands ---------------------------------------------------------------------------------------------------------------

for command in $("$toksweep" help | sed -n 's/^  \([a-z]*\) .*/\1/p'); do
    section "$docs/commands.md" "$command" >section
    [ -s section ] || fail "docs/commands.md has no section on $command"
    "$toksweep" help "$command" | sed -n 's/^  \(--[a-z-]*\).*/\1/p' | sort >known
    grep -o '^| `--[a-z-]*' section | sed 's/^| `//' | sort >told
    assert_same_file "options of $command in docs/commands.md" known told
done

# ---- lists ------------------------------------------------------------------------------------------------------------------

for what in Benchmarks Profiles; do
    "$toksweep" list ${what,} | sed 's/ .*//' | sort >known
    section "$docs/benchmarks.md" $what | sed -n 's/^| `\([^`]*\)` .*/\1/p' | sort >told
    assert_same_file "${what,} in docs/benchmarks.md" known told
done
"$toksweep" list axes | sed -n 's/^\([a-z_]*\) .*/\1/p' | grep . | sort >known
section "$docs/sweep-file.md" Axes | sed -n 's/^| `\([a-z_]*\)` .*/\1/p' | sort >told
assert_same_file 'axes in docs/sweep-file.md' known told

section "$docs/ci.md" 'Gate files' | awk '/^\| metric \| unit/ { inside = 1 } !/^\|/ { inside = 0 } inside' | cut -d'|' -f2 | grep -o '`[a-z_]*`' | tr -d '`' | sort >told
"$toksweep" list metrics | sed 's/ .*//' | sort >known
assert_same_file 'metrics in docs/ci.md' known told

for name in $("$toksweep" list compressors | sed -n 's/^\([a-z0-9_-]*\): .*/\1/p'); do
    prose "$source/README.md" | grep '^| compressors ' | grep -qF "\`$name\`" || fail "README.md does not say that there is compressor $name"
done

# The keys that the program names when it does not know one.
assert_error 2 'known keys:' plan <(printf 'model: m\nzzzzzzzz: 1\n')
sed 's/.*known keys: //' err | tr -d ' ' | tr ',' '\n' | sort >known
section "$docs/sweep-file.md" Keys | sed -n 's/^| `\([a-z_]*\)` .*/\1/p' | sort -u >told
calibration_keys=$(section "$docs/sweep-file.md" Keys | grep -c '^| `calibration\.')
[ "$calibration_keys" -gt 0 ] && { echo calibration; cat told; } | sort -o told
assert_same_file 'keys in docs/sweep-file.md' known told
