// Memory that is aligned, starts as zeros and is not touched before it is used; files mapped to be read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace trtnemo {

class MappedMemory {
  public:
    MappedMemory() = default;
    explicit MappedMemory(std::size_t bytes);            // zeros; throws std::bad_alloc
    static MappedMemory open_file(const std::string& path);  // throws std::runtime_error
    static std::size_t grown(std::size_t bytes);  // what to take when so much is needed now and more may be later
    MappedMemory(MappedMemory&& other) noexcept;
    MappedMemory& operator=(MappedMemory&& other) noexcept;
    ~MappedMemory();

    // Both return 0, or errno where the system does not do it.
    int lock() const;               // reads all of a file, and keeps it from being written out or dropped
    int ask_for_huge_pages() const;

    std::size_t size() const { return size_; }
    std::uint8_t* data() const { return static_cast<std::uint8_t*>(data_); }
    template <typename Element>
    Element* as() const { return static_cast<Element*>(data_); }

  private:
    void* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace trtnemo
