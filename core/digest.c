/* SHA-256 through libcrypto, which uses the processor's own instructions where it has them. */
#include "core/digest.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct digest {
    EVP_MD_CTX *context;
};

struct digest *digest_new(void)
{
    struct digest *digest = malloc(sizeof *digest);
    if (!digest)
        return NULL;
    digest->context = EVP_MD_CTX_new();
    if (!digest->context || !EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL)) {
        EVP_MD_CTX_free(digest->context);
        free(digest);
        return NULL;
    }
    return digest;
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

static void hex_write(const unsigned char raw[32], char hex[DIGEST_HEX])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 32; i++) {
        hex[2 * i] = digits[raw[i] >> 4];
        hex[2 * i + 1] = digits[raw[i] & 15];
    }
    hex[64] = 0;
}

void digest_finish(struct digest *digest, char hex[DIGEST_HEX])
{
    unsigned char raw[EVP_MAX_MD_SIZE];
    EVP_DigestFinal_ex(digest->context, raw, NULL);
    hex_write(raw, hex);
    EVP_MD_CTX_free(digest->context);
    free(digest);
}

void digest_of(const void *bytes, size_t n, char hex[DIGEST_HEX])
{
    unsigned char raw[EVP_MAX_MD_SIZE];
    EVP_Digest(bytes, n, raw, NULL, EVP_sha256(), NULL);
    hex_write(raw, hex);
}

int digest_of_file(const char *path, char hex[DIGEST_HEX], struct err *err)
{
    enum { PIECE = 1 << 20 };
    int rc = 0;
    unsigned char *piece = malloc(PIECE);
    struct digest *digest = digest_new();
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
