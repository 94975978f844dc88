#include "memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <stdexcept>
#include <utility>

namespace trtnemo {

MappedMemory::MappedMemory(std::size_t bytes) : size_(bytes) {
    if (bytes == 0) return;
    data_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data_ == MAP_FAILED) {
        data_ = nullptr;
        throw std::bad_alloc();
    }
#if defined(MADV_HUGEPAGE)
    madvise(data_, bytes, MADV_HUGEPAGE);
#endif
}

MappedMemory MappedMemory::open_file(const std::string& path) {
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (file < 0 || fstat(file, &status) != 0) {
        const std::string reason = std::strerror(errno);
        if (file >= 0) close(file);
        throw std::runtime_error(path + ": " + reason);
    }
    MappedMemory memory;
    memory.size_ = static_cast<std::size_t>(status.st_size);
    if (memory.size_ > 0) memory.data_ = mmap(nullptr, memory.size_, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (memory.data_ == MAP_FAILED) {
        memory.data_ = nullptr;
        throw std::runtime_error(path + ": cannot be mapped");
    }
    if (memory.data_) madvise(memory.data_, memory.size_, MADV_WILLNEED);
    return memory;
}

MappedMemory::MappedMemory(MappedMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedMemory& MappedMemory::operator=(MappedMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
}

MappedMemory::~MappedMemory() {
    if (data_) munmap(data_, size_);
}

}  // namespace trtnemo
