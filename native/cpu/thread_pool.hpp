// Threads that take the items of one piece of work after another, and spin a little between two pieces.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace trtnemo {

class ThreadPool {
  public:
    explicit ThreadPool(std::size_t threads);
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    std::size_t size() const { return workers_.size() + 1; }

    // Calls function(item, worker) for all items below `items`, in no order; returns when all are done.
    template <typename Function>
    void run(std::size_t items, Function&& function) {
        if (items <= 1 || workers_.empty()) {
            for (std::size_t item = 0; item < items; ++item) function(item, std::size_t{0});
            return;
        }
        using Plain = std::remove_reference_t<Function>;
        start(items, [](void* context, std::size_t item, std::size_t worker) {
            (*static_cast<Plain*>(context))(item, worker);
        }, const_cast<void*>(static_cast<const void*>(&function)));
    }

  private:
    using Call = void (*)(void*, std::size_t, std::size_t);

    void start(std::size_t items, Call call, void* context);
    void take_items(std::size_t worker);
    void work(std::size_t worker);
    void stop();

    std::vector<std::thread> workers_;
    Call call_ = nullptr;
    void* context_ = nullptr;
    alignas(64) std::atomic<std::uint64_t> ticket_{0};  // how many items there are, and below it which is next
    alignas(64) std::atomic<std::size_t> finished_{0};  // items
    alignas(64) std::atomic<std::uint32_t> round_{0};
    std::atomic<bool> stops_{false};
};

}  // namespace trtnemo
