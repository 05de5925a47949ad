// Files, read and written whole. POSIX.
#pragma once

#include <filesystem>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

namespace svgd {

// Throws std::runtime_error if there is no file of that name, or it cannot be read.
std::string ReadFile(const std::filesystem::path& path);

// The SHA-256 of some bytes, as text.
std::string Sha256(const std::string& bytes);

// Refuses a file that is to be written later if its folder is not there or cannot be written, if
// something other than a file has its name, or if it would lie within one of the folders that are
// read. Throws std::runtime_error.
void CheckDestination(const std::filesystem::path& path,
                      const std::vector<std::filesystem::path>& read);

// Replaces a file all at once. Throws std::runtime_error if that fails; the old one stays then.
void WriteFile(const std::filesystem::path& path, const std::function<void(std::ostream&)>& write);

// Holds a folder against other programs that train in it, `svgd-onnx train` among them.
class FolderLock {
 public:
  // Throws std::runtime_error if another one has it.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_;
};

}  // namespace svgd
