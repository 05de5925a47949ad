#include "files.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace svgd {
namespace {

namespace fs = std::filesystem;

std::runtime_error Failure(const fs::path& path, const std::string& what) {
  return std::runtime_error("'" + path.string() + "' " + what);
}

fs::path FolderOf(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

// Whether a path, with no link in it, is that of a folder or of something within it.
bool IsWithin(const fs::path& path, const fs::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first ==
         folder.end();
}

}  // namespace

std::string ReadFile(const fs::path& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error))
    throw Failure(path, "is no file.");  // a pipe would not end
  std::ifstream file(path, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(file)), {});
  if (!file) throw Failure(path, "cannot be read.");
  return bytes;
}

std::string Sha256(const std::string& bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &length, EVP_sha256(), nullptr) != 1) {
    throw std::runtime_error("OpenSSL computes no SHA-256 here.");
  }
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  for (unsigned i = 0; i < length; ++i) {
    text += kDigits[digest[i] / 16];
    text += kDigits[digest[i] % 16];
  }
  return text;
}

void CheckDestination(const fs::path& path, const std::vector<fs::path>& read) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(path, error);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    throw Failure(path, "is no ordinary file, and is not replaced: give another name.");
  }
  const fs::path folder = fs::canonical(FolderOf(path), error);
  if (error || !path.has_filename() || access(folder.c_str(), W_OK | X_OK) != 0) {
    throw Failure(path, "cannot be written: give a name in a folder that is there.");
  }
  for (const fs::path& each : read) {
    const fs::path other = fs::canonical(each, error);
    if (!error && IsWithin(folder, other)) {
      throw Failure(path, "lies in '" + each.string() + "', which is read: give another name.");
    }
  }
}

void WriteFile(const fs::path& path, const std::function<void(std::ostream&)>& write) {
  const fs::path temporary = path.string() + ".new";
  std::error_code error;
  fs::remove(temporary, error);  // of a program that was killed; through a link nothing is written
  std::ofstream file(temporary, std::ios::binary);
  write(file);
  file.close();
  // On the disk before it takes the other's name: a power cut leaves one of the two, whole.
  const int descriptor = file ? open(temporary.c_str(), O_WRONLY | O_CLOEXEC) : -1;
  const bool written = descriptor >= 0 && fsync(descriptor) == 0;
  if (descriptor >= 0) close(descriptor);
  if (written) fs::rename(temporary, path, error);
  if (!written || error) {
    fs::remove(temporary, error);
    throw Failure(path, "cannot be written.");
  }
}

FolderLock::FolderLock(const fs::path& folder)
    : descriptor_(
          open((folder / ".svgd-lock").c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666)) {
  if (descriptor_ < 0) throw Failure(folder, "cannot be written.");
  if (flock(descriptor_, LOCK_EX | LOCK_NB) == 0) return;
  close(descriptor_);
  throw Failure(folder, "is in use by another program: wait until that ends.");
}

FolderLock::~FolderLock() { close(descriptor_); }

}  // namespace svgd
