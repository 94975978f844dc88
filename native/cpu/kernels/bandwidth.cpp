#include "bandwidth.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "memory.hpp"
#include "thread_pool.hpp"

namespace trtnemo {

namespace {

constexpr std::size_t kChunk = 1 << 20;

std::uint64_t read(const std::uint64_t* words, std::size_t count) {
    std::uint64_t sums[8] = {};
    for (std::size_t i = 0; i < count; i += 8) {
        __builtin_prefetch(words + i + 256);
        for (std::size_t lane = 0; lane < 8; ++lane) sums[lane] += words[i + lane];
    }
    std::uint64_t total = 0;
    for (const std::uint64_t sum : sums) total += sum;
    return total;
}

}  // namespace

double measure_bandwidth(std::size_t bytes, std::size_t threads, std::size_t repeats) {
    const std::size_t chunks = std::max<std::size_t>(1, bytes / kChunk);
    const MappedMemory memory(chunks * kChunk);
    std::memset(memory.data(), 1, memory.size());
    ThreadPool pool(threads);
    std::atomic<std::uint64_t> total{0};  // what is read must be used
    double best = 0.0;
    for (std::size_t repeat = 0; repeat < repeats; ++repeat) {
        const auto before = std::chrono::steady_clock::now();
        pool.run(chunks, [&](std::size_t chunk, std::size_t) {
            total += read(memory.as<std::uint64_t>() + chunk * kChunk / 8, kChunk / 8);
        });
        const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - before;
        best = std::max(best, static_cast<double>(memory.size()) / passed.count());
    }
    return total.load() ? best : 0.0;
}

}  // namespace trtnemo
