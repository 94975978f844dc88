#include "memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>
#include <utility>

#include "layout.hpp"

namespace trtnemo {

namespace {

#if defined(__SANITIZE_ADDRESS__)

// Reads beyond mapped memory go unseen: under the sanitizer everything lies on the heap, between red zones.
void* take(std::size_t bytes) {
    void* memory = std::aligned_alloc(kAlignment, round_up(bytes, kAlignment));
    return memory ? std::memset(memory, 0, bytes) : nullptr;
}

void* take_file(int file, std::size_t bytes) {
    void* memory = take(bytes);
    return memory && pread(file, memory, bytes, 0) == static_cast<ssize_t>(bytes) ? memory : nullptr;
}

void give(void* memory, std::size_t) { std::free(memory); }

#else

void* take(std::size_t bytes) {
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
#if defined(MADV_HUGEPAGE)
    madvise(memory, bytes, MADV_HUGEPAGE);
#endif
    return memory;
}

void* take_file(int file, std::size_t bytes) {
    void* memory = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED) return nullptr;
    madvise(memory, bytes, MADV_WILLNEED);
    return memory;
}

void give(void* memory, std::size_t bytes) { munmap(memory, bytes); }

#endif

}  // namespace

std::size_t MappedMemory::grown(std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
    return bytes;
#else
    return round_up(bytes + bytes / 4, 4096);
#endif
}

MappedMemory::MappedMemory(std::size_t bytes) : size_(bytes) {
    if (bytes == 0) return;
    data_ = take(bytes);
    if (!data_) throw std::bad_alloc();
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
    if (memory.size_ > 0) memory.data_ = take_file(file, memory.size_);
    close(file);
    if (memory.size_ > 0 && !memory.data_) throw std::runtime_error(path + ": cannot be mapped");
    return memory;
}

int MappedMemory::lock() const { return size_ > 0 && mlock(data_, size_) != 0 ? errno : 0; }

int MappedMemory::ask_for_huge_pages() const {
#if defined(__SANITIZE_ADDRESS__)
    return 0;  // it lies on the heap
#elif defined(MADV_HUGEPAGE)
    return size_ > 0 && madvise(data_, size_, MADV_HUGEPAGE) != 0 ? errno : 0;
#else
    return ENOSYS;
#endif
}

MappedMemory::MappedMemory(MappedMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedMemory& MappedMemory::operator=(MappedMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
}

MappedMemory::~MappedMemory() {
    if (data_) give(data_, size_);
}

}  // namespace trtnemo
