/* SHA-256, and git's SHA-1, through libcrypto, which uses the processor's own instructions where it has them. */
#include "core/digest.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct digest {
    EVP_MD_CTX *context;
};

static struct digest *digest_of_kind(const EVP_MD *kind)
{
    struct digest *digest = malloc(sizeof *digest);
    if (!digest)
        return NULL;
    digest->context = EVP_MD_CTX_new();
    if (!digest->context || !EVP_DigestInit_ex(digest->context, kind, NULL)) {
        EVP_MD_CTX_free(digest->context);
        free(digest);
        return NULL;
    }
    return digest;
}

struct digest *digest_new(void)
{
    return digest_of_kind(EVP_sha256());
}

void digest_add(struct digest *digest, const void *bytes, size_t n)
{
    EVP_DigestUpdate(digest->context, bytes, n);
}

void digest_add_text(struct digest *digest, const char *text)
{
    digest_add(digest, text, strlen(text) + 1);
}

void digest_add_u64(struct digest *digest, uint64_t value)
{
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(value >> (8 * i));
    digest_add(digest, bytes, sizeof bytes);
}

static void hex_write(const unsigned char *raw, size_t n, char hex[DIGEST_HEX])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        hex[2 * i] = digits[raw[i] >> 4];
        hex[2 * i + 1] = digits[raw[i] & 15];
    }
    hex[2 * n] = 0;
}

void digest_finish(struct digest *digest, char hex[DIGEST_HEX])
{
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    EVP_DigestFinal_ex(digest->context, raw, &n);
    hex_write(raw, n, hex);
    EVP_MD_CTX_free(digest->context);
    free(digest);
}

void digest_of(const void *bytes, size_t n, char hex[DIGEST_HEX])
{
    unsigned char raw[EVP_MAX_MD_SIZE];
    EVP_Digest(bytes, n, raw, NULL, EVP_sha256(), NULL);
    hex_write(raw, 32, hex);
}

/* Adds a file's bytes and finishes; takes `digest`, which is NULL when memory was out. */
static int digest_file(struct digest *digest, const char *path, char hex[DIGEST_HEX], struct err *err)
{
    enum { PIECE = 1 << 20 };
    int rc = 0;
    unsigned char *piece = malloc(PIECE);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (!piece || !digest) {
        rc = err_no_memory(err, "hashing a file");
        goto done;
    }
    if (fd < 0) {
        rc = err_errno(err, "open", path);
        goto done;
    }
    ssize_t n;
    while ((n = read(fd, piece, PIECE)) > 0)
        digest_add(digest, piece, (size_t)n);
    if (n < 0)
        rc = err_errno(err, "read", path);
done:
    if (digest)
        digest_finish(digest, hex);
    if (fd >= 0)
        close(fd);
    free(piece);
    return rc;
}

int digest_of_file(const char *path, char hex[DIGEST_HEX], struct err *err)
{
    return digest_file(digest_new(), path, hex, err);
}

int digest_of_blob(const char *path, char hex[DIGEST_HEX], struct err *err)
{
    struct stat stat_of;
    char head[40];
    if (stat(path, &stat_of))
        return err_errno(err, "open", path);
    struct digest *digest = digest_of_kind(EVP_sha1());
    snprintf(head, sizeof head, "blob %lld", (long long)stat_of.st_size);
    if (digest)
        digest_add_text(digest, head);
    return digest_file(digest, path, hex, err);
}
