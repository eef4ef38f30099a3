/*
 * Compiles only where our declarations and constants agree with one of NVIDIA's headers (enumerations and handles aside):
 * g++ -std=c++17 -fsyntax-only -DRS_HEADER=cuda -I/usr/local/cuda/include declarations.cpp     (cublas_v2, cusolverDn)
 */
#define RS_JOINED(name) <name.h>
#define RS_INCLUDED(name) RS_JOINED(name)
#include RS_INCLUDED(RS_HEADER)
#include <type_traits>
#define RS_NVIDIA_HEADERS
#include "../host/libraries.h"

/* Which header it is. */
#define cuda 1
#define cublas_v2 2
#define cusolverDn 3

template <class T, class = void>
struct Complete : std::false_type {};
template <class T>
struct Complete<T, std::void_t<decltype(sizeof(T))>> : std::true_type {};
/* Enumerations are int; pointers to structs that the headers leave incomplete are handles. */
template <class T>
struct Same {
  using type = std::conditional_t<std::is_enum_v<T>, int, T>;
};
template <class T>
struct Same<T *> {
  using type =
      std::conditional_t<!std::is_void_v<T> && !Complete<T>::value, void *, std::add_pointer_t<typename Same<T>::type>>;
};
template <class Ours, class R, class... A>
constexpr bool agree(R (*)(A...)) {
  return std::is_enum_v<R> && std::is_same_v<int(typename Same<A>::type...), Ours>;
}

#define RS_COMPARE(name, parameters) static_assert(agree<int parameters>((decltype(&::name))nullptr), #name);
#define RS_EQUAL(name, value) static_assert((int)::name == value, #name);
#if RS_HEADER == cuda
RS_CUDA(RS_COMPARE)
RS_CUDA_VALUES(RS_EQUAL)
#elif RS_HEADER == cublas_v2
/* C++ has an overload of it in the header; this is the one that the library exports. */
using Gemm = cublasStatus_t(cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int, int, const void *,
                            const void *, cudaDataType, int, long long, const void *, cudaDataType, int, long long,
                            const void *, void *, cudaDataType, int, long long, int, cublasComputeType_t,
                            cublasGemmAlgo_t);
static Gemm *const exportedGemm = &::cublasGemmStridedBatchedEx;
#define cublasGemmStridedBatchedEx *(Gemm *)nullptr
#undef RS_COMPARE
#define RS_COMPARE(name, parameters) RS_COMPARE_EXPANDED(name, parameters, #name)
#define RS_COMPARE_EXPANDED(name, parameters, text) \
  static_assert(agree<int parameters>((decltype(&name))nullptr), text);
RS_CUBLAS(RS_COMPARE)
RS_CUBLAS_VALUES(RS_EQUAL)
#else
RS_CUSOLVER(RS_COMPARE)
RS_CUSOLVER_VALUES(RS_EQUAL)
#endif

#ifdef RS_PLANTED /* a declaration that is wrong */
static_assert(agree<int(double)>((int (*)(int))nullptr), "planted");
#endif
