#pragma once
// A certificate for tests of TLS.

#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cstdio>
#include <memory>
#include <string>

namespace polythrottle::server {

template <auto function>
struct Frees {
  template <class T>
  void operator()(T* object) const {
    function(object);
  }
};
template <class T, auto function>
using Held = std::unique_ptr<T, Frees<function>>;

/// A key and a certificate that it signed itself, as two files.
inline void make_certificate(const std::string& certificate, const std::string& key) {
  const Held<EVP_PKEY, EVP_PKEY_free> pair(EVP_EC_gen("P-256"));
  const Held<X509, X509_free> x(X509_new());
  X509_set_version(x.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(x.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(x.get()), 3600);
  X509_set_pubkey(x.get(), pair.get());
  X509_NAME* name = X509_get_subject_name(x.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(x.get(), name);
  X509_sign(x.get(), pair.get(), EVP_sha256());
  const Held<FILE, fclose> to_certificate(fopen(certificate.c_str(), "w")), to_key(fopen(key.c_str(), "w"));
  PEM_write_X509(to_certificate.get(), x.get());
  PEM_write_PrivateKey(to_key.get(), pair.get(), nullptr, nullptr, 0, nullptr, nullptr);
}

}  // namespace polythrottle::server
