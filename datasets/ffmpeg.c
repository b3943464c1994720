/* FFmpeg's libraries and the table of what is called in them. */
#include "datasets/ffmpeg.h"

#include "core/library.h"

#include <pthread.h>

#define TEXT_OF(number) #number
#define SONAME(name, major) "lib" name ".so." TEXT_OF(major)
#define PACKAGE(name, major) "lib" name TEXT_OF(major)
#define OPEN(library, name, major) library_open(library, SONAME(name, major), PACKAGE(name, major), "reading or writing pictures and videos", &failure)
#define FIND(name) \
    if (!rc)       \
        rc = library_find(library, soname, #name, &ff.name, &failure);

struct ffmpeg ff;
static struct err failure; /* what came of opening */

static int bind_util(void)
{
    static const char soname[] = SONAME("avutil", LIBAVUTIL_VERSION_MAJOR);
    void *library;
    int rc = OPEN(&library, "avutil", LIBAVUTIL_VERSION_MAJOR);
    FFMPEG_UTIL(FIND)
    return rc;
}

static int bind_codec(void)
{
    static const char soname[] = SONAME("avcodec", LIBAVCODEC_VERSION_MAJOR);
    void *library;
    int rc = OPEN(&library, "avcodec", LIBAVCODEC_VERSION_MAJOR);
    FFMPEG_CODEC(FIND)
    return rc;
}

static int bind_format(void)
{
    static const char soname[] = SONAME("avformat", LIBAVFORMAT_VERSION_MAJOR);
    void *library;
    int rc = OPEN(&library, "avformat", LIBAVFORMAT_VERSION_MAJOR);
    FFMPEG_FORMAT(FIND)
    return rc;
}

static int bind_scale(void)
{
    static const char soname[] = SONAME("swscale", LIBSWSCALE_VERSION_MAJOR);
    void *library;
    int rc = OPEN(&library, "swscale", LIBSWSCALE_VERSION_MAJOR);
    FFMPEG_SCALE(FIND)
    return rc;
}

static void bind_all(void)
{
    if (!bind_util() && !bind_codec() && !bind_format() && !bind_scale())
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
