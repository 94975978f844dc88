#include "thread_pool.hpp"

#include <stdexcept>
#include <string>
#include <system_error>

namespace trtnemo {

namespace {

// About 50 microseconds: longer than what lies between two ops of a step, far shorter than a wait for a request.
constexpr int kSpins = 2000;
constexpr int kItemBits = 32;
constexpr std::uint64_t kItemMask = (std::uint64_t{1} << kItemBits) - 1;

void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    std::this_thread::yield();
#endif
}

}  // namespace

ThreadPool::ThreadPool(std::size_t threads) {
    try {
        for (std::size_t worker = 1; worker < threads; ++worker) {
            workers_.emplace_back([this, worker] { work(worker); });
        }
    } catch (const std::system_error& error) {
        const std::string started = std::to_string(workers_.size() + 1);
        stop();
        throw std::runtime_error("of " + std::to_string(threads) + " threads only " + started + " start: " + error.what());
    }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
    stops_ = true;
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
    for (std::thread& worker : workers_) worker.join();
}

// A ticket says which item is next, and of how many, in one number: a thread that comes late, from whatever earlier piece
// of work, gets an item of this one or none. Nobody waits for a thread that has taken none, so one that is off its core,
// or asleep, holds up nothing.
void ThreadPool::take_items(std::size_t worker) {
    std::size_t taken = 0;
    for (;; ++taken) {
        const std::uint64_t ticket = ticket_.fetch_add(1, std::memory_order_acquire);
        const std::uint64_t item = ticket & kItemMask;
        if (item >= ticket >> kItemBits) break;
        call_(context_, item, worker);
    }
    if (taken) finished_.fetch_add(taken, std::memory_order_release);
}

void ThreadPool::start(std::size_t items, Call call, void* context) {
    call_ = call;
    context_ = context;
    finished_.store(0, std::memory_order_relaxed);
    ticket_.store(static_cast<std::uint64_t>(items) << kItemBits, std::memory_order_release);
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
    take_items(0);
    // The last item may still run elsewhere; a worker that is off its core gets it back sooner when this one yields.
    for (int spin = 0; finished_.load(std::memory_order_acquire) != items; ++spin) {
        spin < kSpins ? pause() : std::this_thread::yield();
    }
}

void ThreadPool::work(std::size_t worker) {
    std::uint32_t seen = 0;
    for (;;) {
        for (int spin = 0; round_.load(std::memory_order_acquire) == seen; ++spin) {
            spin < kSpins ? pause() : round_.wait(seen, std::memory_order_acquire);
        }
        seen = round_.load(std::memory_order_acquire);
        if (stops_) return;
        take_items(worker);
    }
}

}  // namespace trtnemo
