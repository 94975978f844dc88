#include "sampling.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define TRTNEMO_WIDE __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define TRTNEMO_WIDE
#endif

namespace trtnemo {

namespace {

constexpr std::uint64_t kStep = 0x9E3779B97F4A7C15U;
constexpr std::size_t kFirstCount = 512;  // candidates that top_p is tried with; then eight times as many
constexpr std::uint64_t kOne = 1ULL << 53;
constexpr double kMostNoise = 37.5;  // -log(-log(1 - 2^-54)) is 37.43

struct Candidate {
    double value;  // logit over temperature
    std::size_t id;
};

// Better ones first; of equals the lower number.
bool is_better(const Candidate& left, const Candidate& right) {
    return left.value > right.value || (left.value == right.value && left.id < right.id);
}

// SplitMix64's mixing.
std::uint64_t mix(std::uint64_t value) {
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9U;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBU;
    return value ^ (value >> 31);
}

class Noise {
  public:
    Noise(std::uint64_t seed, std::uint64_t place) : start_(mix(mix(seed * kStep) + (place + 1) * kStep)) {}

    // The noise of a token, or minus infinity where it certainly lies below `least`.
    double above(std::size_t id, double least) const {
        if (least > kMostNoise) return -INFINITY;
        const std::uint64_t bits = mix(start_ + id * kStep) >> 11;
        // -log(-log(u)) > x needs 1 - u < exp(-x), and exp(-x) is at most two to the -floor(x / log 2): what fails is
        // spared two logarithms
        if (least > 1.0 && kOne - bits - 1 >= kOne >> static_cast<int>(least / M_LN2)) return -INFINITY;
        return -std::log(-std::log((static_cast<double>(bits) + 0.5) * 0x1p-53));
    }

  private:
    std::uint64_t start_;
};

class Best {
  public:
    explicit Best(const Noise& noise) : noise_(noise) {}

    void offer(double value, std::size_t id) {
        const double sum = value + noise_.above(id, sum_ - value);
        if (sum > sum_ || (sum == sum_ && id < id_)) {
            sum_ = sum;
            id_ = id;
        }
    }
    std::size_t id() const { return id_; }

  private:
    const Noise& noise_;
    double sum_ = -INFINITY;
    std::size_t id_ = 0;
};

// The `count` best, best first.
template <typename Element>
std::vector<Candidate> best_of(std::span<const Element> logits, double temperature, std::size_t count) {
    std::vector<Candidate> heap;  // the worst of the best on top
    for (std::size_t id = 0; id < logits.size(); ++id) {
        const Candidate candidate{static_cast<double>(logits[id]) / temperature, id};
        if (heap.size() < count) {
            heap.push_back(candidate);
            std::push_heap(heap.begin(), heap.end(), is_better);
        } else if (candidate.value > heap.front().value) {
            std::pop_heap(heap.begin(), heap.end(), is_better);
            heap.back() = candidate;
            std::push_heap(heap.begin(), heap.end(), is_better);
        }
    }
    std::sort_heap(heap.begin(), heap.end(), is_better);
    return heap;
}

// Cuts sorted candidates to the smallest set whose mass reaches top_p of `total`.
void cut_to_mass(std::vector<Candidate>& candidates, double top_p, double largest, double total) {
    double before = 0.0;
    for (std::size_t number = 0; number < candidates.size(); ++number) {
        if (before / total >= top_p) {
            candidates.resize(number);
            return;
        }
        before += std::exp(candidates[number].value - largest);
    }
}

// exp(x) for x <= 0, to two units in the last place (Cody and Waite's reduction, Taylor's series); 0 where it is below 1e-300.
inline double exp_below(double x) {
    constexpr double kLog2High = 0x1.62e42fee00000p-1, kLog2Low = 0x1.a39ef35793c76p-33, kShift = 0x1.8p52;
    const double shifted = x * M_LOG2E + kShift, count = shifted - kShift;
    const double r = (x - count * kLog2High) - count * kLog2Low;
    double sum = 1.0 / 6227020800.0;
    for (const double divisor : {479001600.0, 39916800.0, 3628800.0, 362880.0, 40320.0, 5040.0, 720.0, 120.0, 24.0, 6.0, 2.0,
                                 1.0, 1.0}) {
        sum = sum * r + 1.0 / divisor;
    }
    const double scale = std::bit_cast<double>((std::bit_cast<std::uint64_t>(shifted) + 1023) << 52);
    return x < -690.0 ? 0.0 : sum * scale;
}

// masses[i] = exp(values[i] - largest): one loop, compiled for each width of registers that machines have.
TRTNEMO_WIDE void fill_masses(const double* values, std::size_t count, double largest, double* masses) {
    for (std::size_t i = 0; i < count; ++i) masses[i] = exp_below(values[i] - largest);
}

// The smallest set whose mass reaches top_p, best first.
template <typename Element>
std::vector<Candidate> nucleus(std::span<const Element> logits, const SamplingRule& rule, double largest) {
    const std::size_t size = logits.size();
    static thread_local std::vector<double> values, masses;  // a row's: taken anew they would cost as much as the work
    values.resize(size);
    masses.resize(size);
    for (std::size_t id = 0; id < size; ++id) values[id] = static_cast<double>(logits[id]) / rule.temperature;
    fill_masses(values.data(), size, largest, masses.data());
    const double total = std::accumulate(masses.begin(), masses.end(), 0.0);
    // All that lie below this have less than 1 - top_p together, half of it to be safe from rounding: none is needed.
    const double least = 0.5 * (1.0 - rule.top_p) * total / static_cast<double>(size);
    std::vector<Candidate> kept;
    for (std::size_t id = 0; id < size; ++id) {
        if (masses[id] > least) kept.push_back({values[id], id});
    }
    for (std::size_t count = kFirstCount;; count *= 8) {
        count = std::min(count, kept.size());
        const auto end = kept.begin() + static_cast<std::ptrdiff_t>(count);
        std::nth_element(kept.begin(), end - 1, kept.end(), is_better);
        double mass = 0.0;
        for (auto place = kept.begin(); place != end; ++place) mass += masses[place->id];
        if (count == kept.size() || mass >= rule.top_p * total) {
            kept.erase(end, kept.end());
            std::sort(kept.begin(), kept.end(), is_better);
            cut_to_mass(kept, rule.top_p, largest, total);
            return kept;
        }
    }
}

// The first of the highest, 0 where none is a number: lane by lane, which compilers make vectors of.
template <typename Element>
std::size_t find_highest(std::span<const Element> logits) {
    constexpr std::size_t kLanes = 16;
    Element lanes[kLanes];
    std::fill(lanes, lanes + kLanes, -std::numeric_limits<Element>::infinity());
    std::size_t id = 0;
    for (; id + kLanes <= logits.size(); id += kLanes) {
        for (std::size_t lane = 0; lane < kLanes; ++lane) {
            lanes[lane] = logits[id + lane] > lanes[lane] ? logits[id + lane] : lanes[lane];
        }
    }
    Element highest = *std::max_element(lanes, lanes + kLanes);
    for (; id < logits.size(); ++id) highest = std::max(highest, logits[id]);
    const auto found = std::find(logits.begin(), logits.end(), highest);
    return found == logits.end() ? 0 : static_cast<std::size_t>(found - logits.begin());
}

template <typename Element>
std::size_t sample_row(std::span<const Element> logits, const SamplingRule& rule, std::uint64_t seed, std::uint64_t place) {
    const Noise noise(seed, place);
    Best best(noise);
    const std::size_t first = find_highest(logits);
    if (rule.temperature == 0.0) return first;
    const double largest = static_cast<double>(logits[first]) / rule.temperature;
    const double least = rule.min_p > 0.0 ? largest + std::log(rule.min_p) : -INFINITY;
    const bool has_top_k = rule.top_k > 0 && rule.top_k < logits.size();
    if (!has_top_k && rule.top_p >= 1.0) {
        best.offer(largest, first);  // first, for then few others need logarithms
        for (std::size_t id = 0; id < logits.size(); ++id) {
            const double value = static_cast<double>(logits[id]) / rule.temperature;
            if (value >= least && value > -INFINITY) best.offer(value, id);
        }
        return best.id();
    }
    std::vector<Candidate> found;
    if (has_top_k) {
        found = best_of(logits, rule.temperature, rule.top_k);
        double total = 0.0;
        for (const Candidate& candidate : found) total += std::exp(candidate.value - largest);
        if (rule.top_p < 1.0) cut_to_mass(found, rule.top_p, largest, total);
    } else {
        found = nucleus(logits, rule, largest);
    }
    for (const Candidate& candidate : found) {
        if (candidate.value >= least && candidate.value > -INFINITY) best.offer(candidate.value, candidate.id);
    }
    return best.id();
}

template <typename Element>
bool mask_elements(std::span<const Element> logits, std::span<const std::uint32_t> allowed, std::vector<Element>& out) {
    out.resize(logits.size());
    bool is_any = false;
    for (std::size_t word = 0; word * 32 < logits.size(); ++word) {
        const std::uint32_t bits = word < allowed.size() ? allowed[word] : 0;
        const std::size_t end = std::min(logits.size(), word * 32 + 32);
        is_any = is_any || bits != 0;
        if (bits == 0) {
            std::fill(out.begin() + static_cast<std::ptrdiff_t>(word * 32), out.begin() + static_cast<std::ptrdiff_t>(end),
                      -std::numeric_limits<Element>::infinity());
            continue;
        }
        for (std::size_t id = word * 32; id < end; ++id) {
            out[id] = (bits >> (id % 32) & 1U) != 0 ? logits[id] : -std::numeric_limits<Element>::infinity();
        }
    }
    return is_any;
}

}  // namespace

bool mask_row(std::span<const float> logits, std::span<const std::uint32_t> allowed, std::vector<float>& out) {
    return mask_elements(logits, allowed, out);
}

bool mask_row(std::span<const double> logits, std::span<const std::uint32_t> allowed, std::vector<double>& out) {
    return mask_elements(logits, allowed, out);
}

std::size_t sample(std::span<const float> logits, const SamplingRule& rule, std::uint64_t seed, std::uint64_t place) {
    return sample_row(logits, rule, seed, place);
}

std::size_t sample(std::span<const double> logits, const SamplingRule& rule, std::uint64_t seed, std::uint64_t place) {
    return sample_row(logits, rule, seed, place);
}

std::int64_t draw_row(std::span<const float> logits, const RowDraw& draw) {
    bool is_number = true;
    for (const float value : logits) is_number &= value == value;
    if (!is_number) return kNoNumber;
    return static_cast<std::int64_t>(sample_row(logits, draw.rule, draw.seed, draw.place));
}

}  // namespace trtnemo
