/* FFmpeg's libraries and the table of what is called in them. */
#include "datasets/ffmpeg.h"

#include "core/library.h"

#include <pthread.h>

#define TEXT_OF(number) #number
#define FUNCTION(name) {#name, &ff.name},
#define BIND(library, major, functions)                                                                                       \
    library_bind("lib" library ".so." TEXT_OF(major), "lib" library TEXT_OF(major), "reading or writing pictures and videos", \
                 functions, sizeof functions / sizeof *functions, &failure)

struct ffmpeg ff;
static struct err failure; /* what came of opening */

static void bind_all(void)
{
    static const struct library_function util[] = {FFMPEG_UTIL(FUNCTION)}, codec[] = {FFMPEG_CODEC(FUNCTION)},
                                         format[] = {FFMPEG_FORMAT(FUNCTION)}, scale[] = {FFMPEG_SCALE(FUNCTION)};
    if (!BIND("avutil", LIBAVUTIL_VERSION_MAJOR, util) && !BIND("avcodec", LIBAVCODEC_VERSION_MAJOR, codec) &&
        !BIND("avformat", LIBAVFORMAT_VERSION_MAJOR, format) && !BIND("swscale", LIBSWSCALE_VERSION_MAJOR, scale))
        ff.av_log_set_level(AV_LOG_QUIET);
}

int ffmpeg_open(struct err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, bind_all);
    if (failure.code)
        *err = failure;
    return failure.code;
}

const char *ffmpeg_error(int code)
{
    static _Thread_local char text[AV_ERROR_MAX_STRING_SIZE];
    ff.av_strerror(code, text, sizeof text);
    return text;
}
