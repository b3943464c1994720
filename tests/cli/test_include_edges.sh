# Data flows one way, and so do #includes: a folder names only headers that it may see, and each outside library is opened in one place.
. "$(dirname "$0")/lib.sh"

folders='core world compressors datasets engine/kernels engine metrics results plots runners harness'
declare -A sees=( # what the headers that a folder names must match
    [core]='^core/'
    [world]='^(core|world)/'
    [compressors]='^(core|compressors)/'
    [datasets]='^(core|datasets)/'
    [engine/kernels]='^(core|engine/kernels)/'
    [engine]='^(core/|compressors/compressor\.h$|engine/[^/]*$|engine/kernels/[^/]*$)'
    [metrics]='^(core|metrics)/'
    [results]='^(core|results)/'
    [plots]='^(core/|metrics/|plots/|results/store\.h$)'
    [runners]='^(core/|runners/|compressors/(compressor|match|methods)\.h$|datasets/video\.h$|engine/[^/]*$)'
    [harness]='^(core|world|compressors|datasets|engine|metrics|results|plots|runners|harness)/|^build_facts\.h$'
)

declare -A opened_in=( # a library's headers, and the files that may name them
    [cjson/cJSON.h]='^core/json\.c$'
    [yaml.h]='^core/config\.c$'
    [openssl/evp.h]='^core/digest\.c$'
    [zlib.h]='^datasets/'
    [zstd.h]='^datasets/'
    [snappy-c.h]='^datasets/'
    [pcre2.h]='^engine/tokenizer'
    [utf8proc.h]='^engine/tokenizer|^metrics/extract\.c$' # the tokenizer's normal form; the replies' case and blanks
    [omp.h]='^engine/kernels/'
    [cuda_runtime_api.h]='^engine/kernels/cuda/' [cuda_runtime.h]='^engine/kernels/cuda/' [cuda_fp16.h]='^engine/kernels/cuda/'
    [cublasLt.h]='^engine/kernels/cuda/lt\.c$'
    [immintrin.h]='^engine/kernels/cpu/'
    [sqlite3.h]='^results/'
    [microhttpd.h]='^harness/serve\.c$'
    [archive.h]='^datasets/unpack\.c$' [archive_entry.h]='^datasets/unpack\.c$'
    [curl/curl.h]='^core/curl\.h$'
)
ffmpeg='^lib(av|sw)[a-z]*/'
c17='assert|complex|ctype|errno|fenv|float|inttypes|iso646|limits|locale|math|setjmp|signal|stdalign|stdarg|stdatomic|stdbool|stddef|stdint'
c17+='|stdio|stdlib|stdnoreturn|string|tgmath|threads|time|uchar|wchar|wctype'
posix='aio|arpa/inet|dirent|dlfcn|fcntl|fnmatch|ftw|glob|grp|iconv|langinfo|libgen|netdb|net/if|netinet/[a-z]*|nl_types|poll|pthread|pwd'
posix+='|regex|sched|search|semaphore|spawn|strings|sys/[a-z]*|syslog|termios|ulimit|unistd|utime|wordexp'

may_open() # FILE HEADER
{
    if [[ $2 =~ $ffmpeg ]]; then
        [[ $1 == datasets/* ]]
    elif [ -n "${opened_in[$2]-}" ]; then
        [[ $1 =~ ${opened_in[$2]} ]]
    else
        [[ $2 =~ ^($c17|$posix)\.h$ ]]
    fi
}

# Prints every #include of these folders that is not allowed.
wrong_includes() # FOLDER...
{
    local folder file line text header named='^[^<"]*[<"]([^>"]+)[>"]'
    for folder; do
        while IFS=: read -r file line text; do
            [ $folder != engine ] || [[ $file != engine/kernels/* ]] || continue
            [[ $text =~ $named ]] && header=${BASH_REMATCH[1]} || header=
            case $text in
            *\"*\"*) [[ $header =~ ${sees[$folder]} && $header != *..* ]] || echo "$file:$line: $folder/ does not see $header" ;;
            *\<*\>*) may_open "$file" "$header" || echo "$file:$line: $header is not opened here" ;;
            *) echo "$file:$line: an #include that names no header: $text" ;;
            esac
        done < <(grep -rnE '^[[:space:]]*#[[:space:]]*include' --include='*.[ch]' --include='*.cu' --include='*.cuh' --include='*.inc' $folder)
    done
}

cp -r $(printf "$source/%s\n" $folders | grep -v /kernels) .
assert_equal 'wrong #includes' '' "$(wrong_includes $folders)"

# The libraries that a folder is linked with say the same.
for folder in $folders; do
    linked=$(sed -n 's/^folder_library([a-z]* *\(.*\))$/\1/p' $folder/CMakeLists.txt)
    for other in $folders; do
        [[ " $linked " == *" toksweep_${other##*/} "* ]] && says=yes || says=no
        [[ ${sees[$folder]} =~ (^|[^a-z/])$other([^a-z]|$) ]] && allowed=yes || allowed=no
        [ $folder = $other ] || [ $folder = engine/kernels ] || [ $folder$other = harnessengine/kernels ] ||
            assert_equal "$folder is linked with $other, as its #includes are" $allowed $says
    done
done

# The test can see: each of these would be a wrong edge.
planted=0
plant() # FILE INCLUDE
{
    local folder=${1%%/*}
    [[ $1 != engine/kernels/* ]] || folder=engine/kernels
    cp "$1" kept.c
    echo "$2" >>"$1"
    case $(wrong_includes $folder) in
    "$1:"*) planted=$((planted + 1)) ;;
    *) fail "$2 in $1 goes unnoticed" ;;
    esac
    mv kept.c "$1"
}

plant core/err.c '#include "datasets/video.h"'
plant world/frame.c '#include "datasets/video_write.h"'
plant compressors/dyntok.c '#include "engine/model.h"'
plant datasets/video.c '#include "engine/vision.h"'
plant engine/model.c '#include "datasets/video.h"'
plant engine/model.c '#include "compressors/methods.h"'
plant engine/model.c '#include "engine/kernels/cpu/cpu.h"'
plant engine/kernels/kernels.c '#include "engine/model.h"'
plant engine/kernels/ref/gemm.c '  #  include "compressors/compressor.h"'
plant metrics/extract.h '#include "results/store.h"'
plant results/read.c '#include "metrics/interval.h"'
plant plots/plot.c '#include "results/store_impl.h"'
plant runners/native.c '#include "results/store.h"'
plant runners/mock.c '#include "datasets/manifest.h"'
plant harness/plan.c '#include "tests/support/clip.h"'
plant metrics/interval.c '#include "../results/store.h"'
plant metrics/interval.c '#include "core/../results/store.h"'
plant metrics/interval.c '#include "interval.h"'
plant metrics/interval.c '#include <results/store.h>'
plant metrics/interval.c '#include HEADER'
plant harness/plan.c '#include <sqlite3.h>'
plant harness/cmd_check.c '#include <libavformat/avformat.h>'
plant runners/http.c '#include <curl/curl.h>'
plant core/text.c '#include <cjson/cJSON.h>'
plant runners/native.c '#include <omp.h>'
plant core/log.c '#include <gtk/gtk.h>'
assert_equal 'wrong #includes that were noticed' 26 $planted
assert_equal 'wrong #includes in the end' '' "$(wrong_includes $folders)"
